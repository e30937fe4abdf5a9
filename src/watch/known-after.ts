import { changedSource } from "../desired/local-file.ts";
import { changesOf } from "../engine/base-changes.ts";
import type { StepResult } from "../engine/engine.ts";
import { pathsOf } from "../plan/order-steps.ts";
import type { Step } from "../plan/plan.ts";
import { treeAfter } from "../plan/tree-after.ts";
import type { Known, Planned } from "../reconcile/planned.ts";
import { headerAfter } from "../reconcile/planned.ts";
import type { ApplyReport } from "../report.ts";
import { changeBase } from "../tree/base.ts";
import { covers } from "../tree/path-set.ts";
import type { WorkspacePath } from "../tree/workspace-path.ts";
import { ancestorsOf } from "../tree/workspace-path.ts";

/**
 * What the session holds after an apply, worked out without asking it. Undefined when anything did not go well: then
 * only a scan knows. A source that changed before it was sent is no such thing: nothing was done with it.
 */
export function knownAfter(planned: Planned, report: ApplyReport): Known | undefined {
  const results = report.outcomes.map(({ result }) => result);
  const left = report.outcomes.flatMap(({ step, result }) => (result.status === "applied" ? [] : [step]));
  if (left.length === 0 ? !report.verified && report.kept.length === 0 : !isHarmless(report)) return undefined;
  const { plan, actual, base, held, baseChanges, strategy } = planned;
  const open = plan.waiting.length > 0 ? undefined : openPaths(planned, left);
  const { recorded } = report;
  const after = recorded === undefined ? {} : { generation: recorded.generation, ...recorded.header };
  if (planned.isSettled) return { actual, base: { ...base, ...after }, held, strategy, open };
  const changes = changesOf({ steps: plan.steps, recovered: planned.recovered, baseChanges }, results, base);
  const applied = report.outcomes.flatMap(({ step, result }) => (result.status === "applied" ? [step] : []));
  return {
    actual: treeAfter(actual, applied),
    base: { ...changeBase(base, changes, headerAfter(planned, results)), ...after },
    held,
    strategy,
    open,
  };
}

/** What the session holds after an apply of these changes that did nothing there. */
export function knownAsBefore(known: Known | undefined, changed: Known["changed"]): Known | undefined {
  if (known === undefined) return undefined;
  const { open } = known;
  return { ...known, open: open === undefined || changed === undefined ? undefined : new Set([...open, ...changed]) };
}

/** Whether nothing but sources that changed kept steps from being done, and none of those was a move. */
function isHarmless({ outcomes }: ApplyReport): boolean {
  return (
    outcomes.some(({ result }) => changedBefore(result) !== undefined) &&
    outcomes.every(({ step, result }) => {
      if (result.status === "applied" || changedBefore(result) !== undefined) return true;
      return result.status === "skipped" && step.op !== "move";
    })
  );
}

/** The source of a step that was not done because it is no longer what was read. */
export function changedBefore(result: StepResult): string | undefined {
  return result.status === "failed" ? changedSource(result.error) : undefined;
}

/**
 * What is to be looked at again by every plan although it is desired as before: also what is in directories that were
 * held back, which may be desired again without it, and what these steps that were not done are for.
 */
function openPaths({ plan, desired, actual, base }: Planned, left: readonly Step[]): ReadonlySet<WorkspacePath> {
  const open = new Set([...plan.conflicts, ...plan.unsupported].map(({ path }) => path));
  for (const path of [...plan.kept, ...left.flatMap(pathsOf)]) open.add(path);
  // The directories above what is held back can go only once it can.
  const held = [...desired.held].filter((path) => actual.has(path));
  for (const path of held.flatMap(ancestorsOf)) open.add(path);
  const directories = new Set(held.filter((path) => actual.get(path)?.kind === "directory"));
  if (directories.size === 0) return open;
  for (const path of [...actual.keys(), ...base.entries.keys()]) if (covers(directories, path)) open.add(path);
  return open;
}
