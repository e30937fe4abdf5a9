import type { RunSpec } from "../manifest/manifest.ts";
import { targetOf } from "../plan/order-steps.ts";
import type { Plan, Step } from "../plan/plan.ts";
import { plural } from "../plural.ts";
import { printable } from "../tree/printable.ts";
import { comparePaths } from "../tree/workspace-path.ts";
import { countSteps, describeConflict, describeStep, isCreation } from "./describe-step.ts";
import { foldCreations } from "./fold-creations.ts";
import type { Ink, Paint } from "./ink.ts";
import { owedClause, renderOwed } from "./render-owed.ts";

/** How much of a plan is shown, and what is known beside it. */
export type PlanView = {
  /** Creations are counted by directory; everything else is shown whatever it is. */
  readonly isFolded: boolean;
  /** Default true; false: `--no-backup`. */
  readonly hasBackup?: boolean;
  /** Conflicts that were shown before: they are only counted. */
  readonly told?: ReadonlySet<string>;
  /** Commands that are due since an earlier apply. */
  readonly owed?: readonly RunSpec[];
};

/** The plan as people read it. What deletes, replaces, moves or is left alone comes first, and whole. */
export function renderPlan(plan: Plan, unreadable: readonly string[], ink: Ink, view: PlanView): string {
  const lines = renderDifferences(plan, unreadable, ink, view);
  return [...lines, ...(lines.length > 0 ? [""] : []), summarize(plan, unreadable, view.owed)].join("\n");
}

/** One line for each step, conflict, and source that could not be read; none when nothing differs. */
export function renderDifferences(
  plan: Plan,
  unreadable: readonly string[],
  ink: Ink,
  { isFolded, hasBackup = true, told = new Set(), owed = [] }: PlanView,
): readonly string[] {
  const { paint, foreign } = ink;
  const { deletions, replacements, moves, modes, creations } = sortedOut(plan);
  const deleted = new Map(deletions.map((step) => [targetOf(step), step]));
  const made = new Map([...replacements, ...moves].map((step) => [targetOf(step), step]));
  const lines = (steps: readonly Step[], others?: ReadonlyMap<string, Step>) =>
    steps.map((step) => {
      const other = others?.get(targetOf(step));
      return paint(paintOf(step), `  ${describeStep(step, { hasBackup, other })}`);
    });
  const shown = isFolded ? foldCreations(creations) : creations.map((step) => describeStep(step));
  return [
    ...lines(deletions, made),
    ...lines(replacements, deleted),
    ...lines(moves, deleted),
    ...lines(modes),
    ...plan.conflicts
      .filter(({ path }) => !told.has(path))
      .map((conflict) => paint("yellow", `  ${describeConflict(conflict)}`)),
    ...plan.unsupported.map(({ path, reason }) => paint("yellow", `  ! ${printable(path)}: ${foreign(reason)}`)),
    ...unreadable.map((path) => paint("yellow", `  ? ${printable(path)}: could not be read`)),
    ...plan.kept.map((path) => paint("cyan", `  = ${printable(path)}: the session's version is kept`)),
    ...renderOwed(owed, ink),
    ...shown.map((line) => paint("green", `  ${line}`)),
    ...(shown.length < creations.length ? [paint("dim", "  (-v shows each of them)")] : []),
  ];
}

/** `Plan: 3 to create, 1 to write, …`, or that there is nothing to do, or nothing that could be done. */
function summarize(plan: Plan, unreadable: readonly string[], owed: readonly RunSpec[] = []): string {
  const left = [
    ...(plan.conflicts.length > 0 ? [`${plural(plan.conflicts.length, "conflict")} left alone`] : []),
    ...(plan.unsupported.length > 0 ? [`${plan.unsupported.length} not possible in this session`] : []),
    ...(unreadable.length > 0 ? [`${plural(unreadable.length, "source")} could not be read`] : []),
    ...(plan.kept.length > 0
      ? [`${plan.kept.length} kept as the session has ${plan.kept.length > 1 ? "them" : "it"}`]
      : []),
    ...(owed.length > 0 ? [owedClause(owed)] : []),
  ].join(", ");
  if (plan.steps.length === 0) {
    return left === "" ? `Nothing to do: ${printable(plan.root)} is as declared.` : `Nothing to apply: ${left}.`;
  }
  const { create, write, move, mode, delete: deletions } = countSteps(plan.steps.map(({ step }) => step));
  const what = listed([
    ["create", create],
    ["write", write],
    ["move", move],
    ["change mode", mode],
    ["delete", deletions],
  ]);
  return `Plan: ${what}${left === "" ? "" : `; ${left}`}.`;
}

/** What a person says yes to: `3 to delete, 2 to replace (1 after a backup), 100 to create.` */
export function countsForQuestion(plan: Plan, hasBackup: boolean): string {
  const steps = plan.steps.map(({ step }) => step);
  const counts = countSteps(steps);
  const foreign = steps.filter((step) => "backup" in step && step.backup);
  const isSaved = hasBackup ? "after a backup" : "of somebody else, without a backup";
  const withSaved = (what: string, of: readonly Step[]) =>
    of.length === 0 ? what : `${what} (${of.length} ${isSaved})`;
  const what = listed([
    [
      withSaved(
        "delete",
        foreign.filter(({ op }) => op === "delete"),
      ),
      counts.delete,
    ],
    [
      withSaved(
        "replace",
        foreign.filter(({ op }) => op !== "delete"),
      ),
      counts.write,
    ],
    ["move", counts.move],
    ["change mode", counts.mode],
    ["create", counts.create],
  ]);
  const { conflicts } = plan;
  return `${what}${conflicts.length > 0 ? `; ${plural(conflicts.length, "conflict")} left alone` : ""}.`;
}

function listed(counts: readonly (readonly [what: string, count: number])[]): string {
  return counts.flatMap(([what, count]) => (count > 0 ? [`${count} to ${what}`] : [])).join(", ");
}

/** By what a step does to what is there; each in path order. A kind that changes is a deletion and a replacement. */
function sortedOut(plan: Plan) {
  const steps = plan.steps
    .map(({ step }) => step)
    .toSorted((one, other) => comparePaths(targetOf(one), targetOf(other)));
  const deletions = steps.filter(({ op }) => op === "delete");
  const vacated = new Set(deletions.map(targetOf));
  const moves = steps.filter(({ op }) => op === "move");
  const modes = steps.filter(({ op }) => op === "set-mode");
  const others = steps.filter(({ op }) => op === "write" || op === "create-link" || op === "create-directory");
  const isHarmless = (step: Step) => isCreation(step) && !vacated.has(targetOf(step));
  return {
    deletions,
    replacements: others.filter((step) => !isHarmless(step)),
    moves,
    modes,
    creations: others.filter(isHarmless),
  };
}

function paintOf(step: Step): Paint {
  if (step.op === "delete") return "red";
  if (step.op === "move" || step.op === "set-mode") return "cyan";
  return isCreation(step) ? "green" : "yellow";
}
