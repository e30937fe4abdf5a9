import { pathsOf } from "../plan/order-steps.ts";
import { covers } from "../tree/path-set.ts";
import type { WorkspacePath } from "../tree/workspace-path.ts";
import { comparePaths } from "../tree/workspace-path.ts";
import type { Planned } from "./planned.ts";

/**
 * What stands in the session and is neither declared nor part of the plan, in path order; a directory stands for all that
 * is in it. Whole only if the plan was made with `listsUnmanaged`. What is ignored is not looked at.
 */
export function unmanagedIn({ actual, desired, plan }: Planned): readonly WorkspacePath[] {
  const known = new Set<WorkspacePath>([
    ...plan.steps.flatMap(({ step }) => pathsOf(step)),
    ...[...plan.conflicts, ...plan.unsupported].map(({ path }) => path),
    ...plan.kept,
    ...plan.waiting,
  ]);
  const found = new Set<WorkspacePath>();
  for (const path of [...actual.keys()].toSorted(comparePaths)) {
    if (!desired.tree.has(path) && !known.has(path) && !covers(found, path)) found.add(path);
  }
  return [...found];
}
