import type { Base } from "../tree/base.ts";
import type { Tree } from "../tree/entry.ts";
import type { PathSet } from "../tree/path-set.ts";
import { covers } from "../tree/path-set.ts";
import type { WorkspacePath } from "../tree/workspace-path.ts";
import { ancestorsOf } from "../tree/workspace-path.ts";

/**
 * `actual` and `base` without the paths that are held back and not desired all the same, and without the directories
 * above those that are there: a plan made from them leaves those paths, and what base knows of them, as they are.
 */
export function holdBack(
  held: PathSet,
  desired: Tree,
  actual: Tree,
  base: Base,
): { readonly actual: Tree; readonly base: Base } {
  if (held.size === 0) return { actual, base };
  const above = new Set([...held].flatMap((path) => (actual.has(path) ? ancestorsOf(path) : [])));
  const isHeld = (path: WorkspacePath) => !desired.has(path) && (above.has(path) || covers(held, path));
  const without = <Value>(map: ReadonlyMap<WorkspacePath, Value>) =>
    new Map([...map].filter(([path]) => !isHeld(path)));
  return { actual: without(actual), base: { ...base, entries: without(base.entries) } };
}
