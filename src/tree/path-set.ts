import type { WorkspacePath } from "./workspace-path.ts";
import { ancestorsOf } from "./workspace-path.ts";

/** Paths, each with everything below it; `""` is everything. */
export type PathSet = ReadonlySet<WorkspacePath>;

/** Whether `path` or a directory above it is in `set`. */
export function covers(set: PathSet, path: WorkspacePath): boolean {
  if (set.size === 0) return false;
  const roots: ReadonlySet<string> = set;
  return set.has(path) || roots.has("") || ancestorsOf(path).some((ancestor) => set.has(ancestor));
}
