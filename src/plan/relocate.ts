import type { MoveSpec } from "../manifest/manifest.ts";
import type { Base, BaseEntry } from "../tree/base.ts";
import type { Entry, Tree } from "../tree/entry.ts";
import type { WorkspacePath } from "../tree/workspace-path.ts";
import { ancestorsOf, isBelow } from "../tree/workspace-path.ts";
import type { Conflict, Step } from "./plan.ts";

type MoveStep = Extract<Step, { op: "move" }>;

/** The trees as they will stand once the declared moves are done, and the steps that do them. */
export type Relocation = {
  readonly actual: Tree;
  readonly base: Base;
  readonly moves: readonly MoveStep[];
  readonly conflicts: readonly Conflict[];
};

/**
 * Carries out the manifest's `moves` on paper, in their order. A move whose `from` is gone is done already; one whose
 * `to` is taken is a conflict and both stay as they are.
 */
export function relocate(moves: readonly MoveSpec[], actual: Tree, base: Base): Relocation {
  let entries = actual;
  let known = base.entries;
  const steps: MoveStep[] = [];
  const conflicts: Conflict[] = [];
  for (const { from, to } of moves) {
    const before = entries.get(from);
    if (before === undefined) continue;
    const obstacle = [to, ...ancestorsOf(to)].find((path) => {
      const entry = entries.get(path);
      return entry !== undefined && (path === to || entry.kind !== "directory");
    });
    if (obstacle !== undefined || isBelow(to, from)) {
      const reason = `cannot be moved to ${to}: ${obstacle ?? from} is in the way`;
      conflicts.push({
        path: from,
        standing: "unmanaged",
        desired: undefined,
        actual: before,
        reason,
        settledBy: [],
      });
      continue;
    }
    steps.push({ op: "move", from, to, before, held: false });
    entries = rekey<Entry>(entries, from, to);
    known = rekey<BaseEntry>(known, from, to);
  }
  return { actual: entries, base: { ...base, entries: known }, moves: steps, conflicts };
}

function rekey<Value>(
  map: ReadonlyMap<WorkspacePath, Value>,
  from: WorkspacePath,
  to: WorkspacePath,
): ReadonlyMap<WorkspacePath, Value> {
  const moved = new Map<WorkspacePath, Value>();
  for (const [path, value] of map) {
    const isMoved = path === from || isBelow(path, from);
    moved.set(isMoved ? movedPath(path, from, to) : path, value);
  }
  return moved;
}

/** Where `path`, at or below `from`, is once `from` has become `to`. */
export function movedPath(path: WorkspacePath, from: WorkspacePath, to: WorkspacePath): WorkspacePath {
  return `${to}${path.slice(from.length)}` as WorkspacePath;
}
