import type { WorkspacePath } from "../tree/workspace-path.ts";
import { ancestorsOf, isBelow, ROOT } from "../tree/workspace-path.ts";
import type { Manifest, Position } from "./manifest.ts";
import type { ManifestSource } from "./manifest-source.ts";
import type { Keys } from "./manifest-tree.ts";
import { quoted } from "./quoted.ts";

type Declared = {
  readonly path: WorkspacePath;
  readonly kind: "directory" | "file" | "tree" | "link";
  readonly keys: Keys;
  readonly at: Position;
};

/** Reports what a schema cannot say: paths that are declared twice, or that contradict one another. */
export function checkPaths(manifest: Manifest, source: ManifestSource): void {
  const declared: Declared[] = [
    ...manifest.directories.map(
      ({ path, at }, i): Declared => ({ path, at, kind: "directory", keys: ["directories", i, "path"] }),
    ),
    ...manifest.files.map(({ path, at }, i): Declared => ({ path, at, kind: "file", keys: ["files", i, "path"] })),
    ...manifest.trees.map(({ path, at }, i): Declared => ({ path, at, kind: "tree", keys: ["trees", i, "path"] })),
    ...manifest.links.map(({ path, at }, i): Declared => ({ path, at, kind: "link", keys: ["links", i, "path"] })),
  ].filter(({ keys }) => source.tree.isSound(keys));

  const leaves = new Map<WorkspacePath, Declared>();
  const firsts = new Map<WorkspacePath, Declared>();
  for (const entry of declared) {
    const first = firsts.get(entry.path);
    // A directory entry may add a mode to a tree or to its place.
    const isRefinement = first !== undefined && first.kind !== entry.kind && isContainer(first) && isContainer(entry);
    if (first !== undefined && !isRefinement) {
      source.report(
        "DUPLICATE_PATH",
        entry.keys,
        `${nameOf(entry.path)} is declared twice, first at line ${first.at.line}`,
        "remove one of the two, or give them different paths",
      );
    }
    firsts.set(entry.path, first ?? entry);
    if (!isContainer(entry)) leaves.set(entry.path, entry);
  }
  for (const entry of declared) {
    for (const ancestor of ancestorsOf(entry.path)) {
      const leaf = leaves.get(ancestor);
      if (leaf === undefined) continue;
      source.report(
        "PATH_CONFLICT",
        entry.keys,
        `${nameOf(entry.path)} lies below ${nameOf(ancestor)}, which is a ${leaf.kind} (line ${leaf.at.line})`,
        "a file or link cannot hold other entries; change one of the two paths",
      );
    }
  }
  checkAbsent(manifest, declared, source);
  checkMoves(manifest, firsts, source);
}

function checkAbsent(manifest: Manifest, declared: readonly Declared[], source: ManifestSource): void {
  manifest.absent.forEach(({ path }, index) => {
    const wanted = declared.find((entry) => entry.path === path || isBelow(entry.path, path));
    if (wanted === undefined || !source.tree.isSound(["absent", index])) return;
    source.report(
      "PATH_CONFLICT",
      ["absent", index],
      `${nameOf(path)} is to be absent, but line ${wanted.at.line} declares ${nameOf(wanted.path)}`,
      "remove one of the two",
    );
  });
}

function checkMoves(manifest: Manifest, declared: ReadonlyMap<WorkspacePath, Declared>, source: ManifestSource): void {
  const froms = new Set<WorkspacePath>();
  const tos = new Set<WorkspacePath>();
  manifest.moves.forEach(({ from, to }, index) => {
    const say = (key: "from" | "to", message: string, hint: string) =>
      source.report("BAD_MOVE", ["moves", index, key], message, hint);
    if (!source.tree.isSound(["moves", index, "from"]) || !source.tree.isSound(["moves", index, "to"])) return;
    if (from === to) say("to", `${nameOf(from)} is moved onto itself`, "remove the move");
    else if (isBelow(to, from)) say("to", `${nameOf(from)} cannot be moved into itself`, "move it somewhere else");
    if (froms.has(from)) say("from", `${nameOf(from)} is moved twice`, "keep one of the two moves");
    if (tos.has(to)) say("to", `two moves end at ${nameOf(to)}`, "keep one of the two moves");
    const stays = declared.get(from);
    if (stays !== undefined && stays.kind !== "tree" && from !== to) {
      say(
        "from",
        `${nameOf(from)} is moved away, but line ${stays.at.line} declares it`,
        "declare the new path instead",
      );
    }
    froms.add(from);
    tos.add(to);
  });
}

function isContainer({ kind }: Declared): boolean {
  return kind === "directory" || kind === "tree";
}

function nameOf(path: WorkspacePath): string {
  return path === ROOT ? "the root" : quoted(path);
}
