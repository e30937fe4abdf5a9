import type { Desired } from "../desired/desired.ts";
import { GuardError } from "../errors.ts";
import type { BuiltPlan } from "../plan/build-plan.ts";
import { checkDeletions, parseDeleteLimit } from "../plan/check-guards.ts";
import { pathsOf } from "../plan/order-steps.ts";
import type { Plan } from "../plan/plan.ts";
import { plural } from "../plural.ts";
import type { Base, BaseChange } from "../tree/base.ts";
import type { Entry, Tree } from "../tree/entry.ts";
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

/** Why this plan may not be carried out unasked (S14), or what a guard kept from being deleted before (S43). */
export function tooManyDeletions(
  plan: Plan,
  actual: Tree,
  base: Base,
  options: ReconcileOptions,
): GuardError | undefined {
  if (options.allowMassDelete === true) return undefined;
  const limit = options.maxDelete === undefined ? undefined : parseDeleteLimit(options.maxDelete);
  try {
    checkDeletions(plan, actual, limit, options.deletedBefore ?? 0);
  } catch (error) {
    if (error instanceof GuardError) return error;
    throw error;
  }
  const held = plan.steps.filter(({ step }) => step.op === "delete" && isHeldBack(base, step.path, step.before)).length;
  return held === 0 ? undefined : heldBackError(held, plan.root);
}

/** Whether a guard kept what stands at `path` from being deleted, and nothing has allowed it since (S43). */
export function isHeldBack(base: Base, path: WorkspacePath, found: Entry | undefined): boolean {
  if (found === undefined || found.kind === "directory") return false;
  const known = base.entries.get(path);
  return known === undefined ? base.isGuarded : known.heldBack === true;
}

/** What is told as long as a guard holds deletions back: the same words for the same number of them. */
export function heldBackError(count: number, root: string): GuardError {
  return new GuardError(
    `this would delete ${plural(count, "file")} in ${root} that ${count === 1 ? "is" : "are"} held back`,
    {
      hint: "look at the plan; if that is what you want, apply with --allow-mass-delete",
    },
  );
}

/**
 * What base learns of holding back: marks for what waits because of a guard, and none where nothing waits any more.
 * `isFresh`: all that waits does so because of a guard of this run. Pure.
 */
export function holdMarks(
  { plan, baseChanges }: BuiltPlan,
  actual: Tree,
  base: Base,
  isGuarded: (path: WorkspacePath) => boolean,
): { readonly changes: readonly BaseChange[]; readonly isGuarded: boolean; readonly paths: readonly WorkspacePath[] } {
  const held = new Set(plan.waiting.filter((path) => actual.get(path)?.kind !== "directory" && isGuarded(path)));
  const touched = new Set<WorkspacePath>([
    ...plan.steps.flatMap(({ step }) => pathsOf(step)),
    ...baseChanges.map(({ path }) => path),
  ]);
  const changes = [...base.entries].flatMap(([path, { heldBack, ...known }]): BaseChange[] => {
    if (held.has(path)) return heldBack === true ? [] : [{ path, after: { ...known, heldBack: true } }];
    return heldBack !== true || touched.has(path) ? [] : [{ path, after: known }];
  });
  return { changes, isGuarded: [...held].some((path) => !base.entries.has(path)), paths: [...held] };
}
