import type { Digest } from "../tree/digest.ts";
import type { Tree } from "../tree/entry.ts";
import type { WorkspacePath } from "../tree/workspace-path.ts";
import { ancestorsOf, baseName, isBelow } from "../tree/workspace-path.ts";
import type { Change } from "./diff-trees.ts";

/** Bytes that leave `from` and are wanted at `to`: one rename instead of a delete and a write. */
export type DetectedMove = { readonly from: WorkspacePath; readonly to: WorkspacePath; readonly held: boolean };

/**
 * Pairs files whose bytes vanish (deleted, or replaced by others) with files that want the same bytes. Only bytes that
 * are ours are moved, each once; a target is free or is itself moved away. Chains, cycles and swaps come out as held
 * moves. Deterministic: the same base name is preferred, then path order.
 */
export function detectMoves(changes: readonly Change[], desired: Tree, actual: Tree): readonly DetectedMove[] {
  const sources = new Map<Digest, WorkspacePath[]>();
  for (const { path, before, foreign } of changes) {
    const digest = before?.kind === "file" && !foreign ? before.digest : undefined;
    const stays = digest !== undefined && digestAt(desired, path) === digest;
    if (digest === undefined || stays || sizeAt(actual, path) === 0) continue;
    sources.set(digest, [...(sources.get(digest) ?? []), path]);
  }
  const moves = new Map<WorkspacePath, WorkspacePath>(); // from -> to
  const take = (change: Change, accept: (from: WorkspacePath) => boolean): void => {
    if (change.after?.kind !== "file" || change.after.digest === undefined || change.foreign) return;
    if (digestAt(actual, change.path) === change.after.digest) return;
    const candidates = sources.get(change.after.digest) ?? [];
    const index = candidates.findIndex(accept);
    const [from] = index < 0 ? [] : candidates.splice(index, 1);
    if (from !== undefined) moves.set(from, change.path);
  };
  const taken = () => new Set(moves.values());
  for (const change of changes) take(change, (from) => baseName(from) === baseName(change.path));
  const named = taken();
  for (const change of changes) if (!named.has(change.path)) take(change, () => true);
  dropMovesOntoStayingFiles(moves, actual);
  return [...moves].map(([from, to]) => ({ from, to, held: mustBeHeld(from, to, desired, actual) }));
}

/** A file that is replaced but not moved away stands in the way: its target is written instead. */
function dropMovesOntoStayingFiles(moves: Map<WorkspacePath, WorkspacePath>, actual: Tree): void {
  for (let dropped = true; dropped; ) {
    dropped = false;
    for (const [from, to] of moves) {
      const occupant = actual.get(to);
      if (occupant === undefined || occupant.kind === "directory" || moves.has(to)) continue;
      moves.delete(from);
      dropped = true;
    }
  }
}

function mustBeHeld(from: WorkspacePath, to: WorkspacePath, desired: Tree, actual: Tree): boolean {
  return (
    actual.has(to) ||
    desired.has(from) ||
    isBelow(to, from) ||
    isBelow(from, to) ||
    ancestorsOf(to).some((path) => (actual.get(path)?.kind ?? "directory") !== "directory") ||
    ancestorsOf(from).some((path) => (desired.get(path)?.kind ?? "directory") !== "directory")
  );
}

function digestAt(tree: Tree, path: WorkspacePath): Digest | undefined {
  const entry = tree.get(path);
  return entry?.kind === "file" ? entry.digest : undefined;
}

function sizeAt(tree: Tree, path: WorkspacePath): number | undefined {
  const entry = tree.get(path);
  return entry?.kind === "file" ? entry.sizeBytes : undefined;
}
