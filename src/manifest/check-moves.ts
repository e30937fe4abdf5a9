import type { WorkspacePath } from "../tree/workspace-path.ts";
import { ancestorsOf, isBelow } from "../tree/workspace-path.ts";
import type { Declared } from "./declared.ts";
import { isContainer, nameOf } from "./declared.ts";
import type { Manifest } from "./manifest.ts";
import type { ManifestSource } from "./manifest-source.ts";

/** Reports moves that contradict one another or what is declared: each is to be done once, and then nothing is left of it. */
export function checkMoves(
  manifest: Manifest,
  declared: ReadonlyMap<WorkspacePath, Declared>,
  source: ManifestSource,
): void {
  const next = new Map<WorkspacePath, WorkspacePath>();
  const ends = new Set<WorkspacePath>();
  manifest.moves.forEach(({ from, to }, index) => {
    if (!source.tree.isSound(["moves", index, "from"]) || !source.tree.isSound(["moves", index, "to"])) return;
    const say = (key: "from" | "to", message: string, hint: string) =>
      source.report("BAD_MOVE", ["moves", index, key], message, hint);
    if (from === to) say("to", `${nameOf(from)} is moved onto itself`, "remove the move");
    else if (isBelow(to, from)) say("to", `${nameOf(from)} cannot be moved into itself`, "move it somewhere else");
    else if (leadsTo(from, to, next)) {
      say(
        "to",
        `the moves lead back to ${nameOf(to)}`,
        "leave one of them out: a move is done once, not again and again",
      );
    }
    if (next.has(from)) say("from", `${nameOf(from)} is moved twice`, "keep one of the two moves");
    if (ends.has(to)) say("to", `two moves end at ${nameOf(to)}`, "keep one of the two moves");
    const stays = declared.get(from);
    if (stays !== undefined && stays.kind !== "tree" && from !== to) {
      const message = `${nameOf(from)} is moved away, but line ${stays.at.line} declares it`;
      say("from", message, "remove one of the two");
    }
    const obstacle = obstacleAt(to, declared);
    if (obstacle !== undefined) {
      const { path, kind, at } = obstacle;
      const below = path === to ? "" : ` below ${nameOf(path)}`;
      const message = `a move ends at ${nameOf(to)}${below}, but line ${at.line} declares a ${kind} there`;
      say("to", message, "remove the move, or move it somewhere else: what is declared gets there anyway");
    }
    if (!next.has(from)) next.set(from, to);
    ends.add(to);
  });
}

/** Whether the moves that are already known lead from `to` back to `from`. */
function leadsTo(from: WorkspacePath, to: WorkspacePath, next: ReadonlyMap<WorkspacePath, WorkspacePath>): boolean {
  const seen = new Set<WorkspacePath>();
  let place: WorkspacePath | undefined = to;
  while (place !== undefined && place !== from && !seen.has(place)) {
    seen.add(place);
    place = next.get(place);
  }
  return place === from;
}

/** What is declared at `path` itself, or a file or link above it. */
function obstacleAt(path: WorkspacePath, declared: ReadonlyMap<WorkspacePath, Declared>): Declared | undefined {
  const above = ancestorsOf(path).map((ancestor) => declared.get(ancestor));
  return declared.get(path) ?? above.find((entry) => entry !== undefined && !isContainer(entry));
}
