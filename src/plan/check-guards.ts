import { GuardError, UsageError } from "../errors.ts";
import type { Tree } from "../tree/entry.ts";
import type { WorkspacePath } from "../tree/workspace-path.ts";
import type { Plan } from "./plan.ts";

/** How many deletions a run may make without being asked: a number, or a share of what is there. */
export type DeleteLimit = { readonly count: number } | { readonly percent: number };

/** Reads `10` or `10%`. @throws {UsageError} for anything else. */
export function parseDeleteLimit(text: string): DeleteLimit {
  const match = /^(\d{1,9})(%?)$/.exec(text);
  const amount = Number(match?.[1]);
  if (match === null || (match[2] === "%" && amount > 100)) {
    throw new UsageError(`--max-delete ${JSON.stringify(text)} is neither a number nor a percentage`, {
      hint: "write for example --max-delete 10 or --max-delete 10%",
    });
  }
  return match[2] === "%" ? { percent: amount } : { count: amount };
}

/** How many files and links a plan deletes. */
export function countDeletions(plan: Plan): number {
  return deletedPaths(plan).length;
}

/** Files and links that are pruned; moves and replacements do not count (S14). */
export function deletedPaths(plan: Plan): readonly WorkspacePath[] {
  const replaced = new Set(
    plan.steps.flatMap(({ step }) => (step.op === "delete" || step.op === "move" ? [] : [step.path])),
  );
  return plan.steps.flatMap(({ step }) =>
    step.op === "delete" && step.before.kind !== "directory" && !replaced.has(step.path) ? [step.path] : [],
  );
}

/**
 * Looks at the whole plan before anything happens (S14). `before`: files that went in the same breath, which count as if
 * they were there and went with this plan.
 * @throws {GuardError} when it deletes more than `limit`; without one, more than half of what is there and over 10 files.
 */
export function checkDeletions(plan: Plan, actual: Tree, limit: DeleteLimit | undefined, before = 0): void {
  if (countDeletions(plan) === 0) return;
  const deletions = countDeletions(plan) + before;
  const present = [...actual.values()].filter((entry) => entry.kind !== "directory").length + before;
  const isTooMany =
    limit === undefined
      ? deletions > 10 && deletions * 2 > present
      : "count" in limit
        ? deletions > limit.count
        : deletions * 100 > present * limit.percent;
  if (!isTooMany) return;
  throw new GuardError(`this would delete ${deletions} of ${present} files in ${plan.root}`, {
    hint: "look at the plan; if that is what you want, add --allow-mass-delete",
  });
}
