import type { WorkspacePath } from "../tree/workspace-path.ts";
import { comparePaths } from "../tree/workspace-path.ts";

/**
 * Paths that a file system which folds case, or which normalises names, takes for another one of them (S28). Each gives
 * the first, in path order, of those that are one to it.
 */
export function nameCollisions(paths: Iterable<WorkspacePath>): ReadonlyMap<WorkspacePath, WorkspacePath> {
  const firsts = new Map<string, WorkspacePath>();
  const collisions = new Map<WorkspacePath, WorkspacePath>();
  for (const path of [...paths].toSorted(comparePaths)) {
    const folded = path.normalize("NFC").toLowerCase();
    const first = firsts.get(folded);
    if (first === undefined) firsts.set(folded, path);
    else collisions.set(path, first);
  }
  return collisions;
}
