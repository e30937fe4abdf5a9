import type { Base } from "../tree/base.ts";
import type { Tree } from "../tree/entry.ts";
import type { PathSet } from "../tree/path-set.ts";
import { covers } from "../tree/path-set.ts";
import type { WorkspacePath } from "../tree/workspace-path.ts";
import { ancestorsOf } from "../tree/workspace-path.ts";

export type Trees = { readonly desired: Tree; readonly actual: Tree; readonly base: Base };

/**
 * The three trees at `paths`, above them, and below directories that give way. Where the rest was planned and carried out
 * before, a plan from these has the same steps as one from the whole trees.
 */
export function narrow({ desired, actual, base }: Trees, paths: Iterable<WorkspacePath>): Trees {
  const wanted = new Set<WorkspacePath>();
  const givesWay = new Set<WorkspacePath>();
  for (const path of paths) {
    for (const one of [path, ...ancestorsOf(path)]) wanted.add(one);
    if (actual.get(path)?.kind === "directory" && desired.get(path)?.kind !== "directory") givesWay.add(path);
  }
  return {
    desired: pick(desired, wanted, givesWay),
    actual: pick(actual, wanted, givesWay),
    base: { ...base, entries: pick(base.entries, wanted, givesWay) },
  };
}

function pick<Value>(
  map: ReadonlyMap<WorkspacePath, Value>,
  wanted: ReadonlySet<WorkspacePath>,
  below: PathSet,
): ReadonlyMap<WorkspacePath, Value> {
  const picked = new Map<WorkspacePath, Value>();
  for (const path of wanted) {
    const value = map.get(path);
    if (value !== undefined) picked.set(path, value);
  }
  if (below.size > 0) for (const [path, value] of map) if (covers(below, path)) picked.set(path, value);
  return picked;
}
