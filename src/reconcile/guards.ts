import type { Desired } from "../desired/desired.ts";
import { GuardError } from "../errors.ts";
import { checkDeletions, parseDeleteLimit } from "../plan/check-guards.ts";
import type { Plan } from "../plan/plan.ts";
import { plural } from "../plural.ts";
import type { Base } from "../state/base.ts";
import type { Tree } from "../tree/entry.ts";
import type { WorkspacePath } from "../tree/workspace-path.ts";
import { isBelow } from "../tree/workspace-path.ts";
import type { ReconcileOptions } from "./reconcile-options.ts";

/**
 * S12: a source that is suddenly empty or missing would delete everything that came from it and from nowhere else now.
 * Gives the places of such trees where somebody wants to know instead.
 * @throws {GuardError}; and what is wrong with a missing source that never brought anything.
 */
export function emptiedTrees(desired: Desired, base: Base, options: ReconcileOptions): readonly WorkspacePath[] {
  const emptied: WorkspacePath[] = [];
  for (const { source, path, missing } of desired.emptyTrees) {
    const orphans = [...base.entries].filter(
      ([other, { entry }]) => entry.kind !== "directory" && isBelow(other, path) && !desired.tree.has(other),
    ).length;
    if (orphans === 0 && missing !== undefined) {
      if (options.onHeldBack === undefined) throw missing;
      options.onHeldBack(missing);
    }
    if (orphans === 0 || options.allowMassDelete === true) continue;
    const state = missing === undefined ? "empty" : "missing";
    const what = plural(orphans, "file");
    const fault = new GuardError(`the source ${source} is ${state}, but the last apply brought ${what} from it`, {
      hint: `check the source${missing === undefined ? "" : ` (${missing.message})`}; if it is meant to be ${state}, add --allow-mass-delete`,
    });
    if (options.onHeldBack === undefined) throw fault;
    options.onHeldBack(fault);
    emptied.push(path);
  }
  return emptied;
}

/** Why this plan may not be carried out unasked (S14). */
export function tooManyDeletions(plan: Plan, actual: Tree, options: ReconcileOptions): GuardError | undefined {
  if (options.allowMassDelete === true) return undefined;
  const limit = options.maxDelete === undefined ? undefined : parseDeleteLimit(options.maxDelete);
  try {
    checkDeletions(plan, actual, limit);
    return undefined;
  } catch (error) {
    if (error instanceof GuardError) return error;
    throw error;
  }
}
