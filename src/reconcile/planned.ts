import type { Desired } from "../desired/desired.ts";
import type { Engine, StepResult } from "../engine/engine.ts";
import type { RunSpec } from "../manifest/manifest.ts";
import { pathsOf } from "../plan/order-steps.ts";
import type { Plan } from "../plan/plan.ts";
import { owedAfter, owedKey } from "../run/owed.ts";
import type { Workspace } from "../session.ts";
import type { Base, BaseChange, BaseHeader } from "../tree/base.ts";
import type { Tree } from "../tree/entry.ts";
import type { WorkspacePath } from "../tree/workspace-path.ts";

/** A plan together with what apply needs to carry it out. */
export type Planned = {
  readonly plan: Plan;
  readonly desired: Desired;
  readonly workspace: Workspace;
  readonly strategy: Engine["strategy"];
  /** Why that strategy was taken, in one clause. */
  readonly strategyReason: string;
  readonly actual: Tree;
  readonly base: Base;
  /** Directories in which the scan saw something ignored. */
  readonly held?: ReadonlySet<WorkspacePath> | undefined;
  /** What `base` has beyond what is stored: left there by runs that were cut off. */
  readonly recovered: readonly BaseChange[];
  readonly baseChanges: readonly BaseChange[];
  readonly rootExists: boolean;
  /** The plan does not lead to everything that is declared: base must not say that it did. */
  readonly isPartial?: boolean;
  /** What base says of files that it does not know: a guard keeps some from being deleted. */
  readonly isGuarded: boolean;
  /** The manifest's commands, and those of them that are owed: due before this plan, and not run to their end (S40). */
  readonly commands: readonly RunSpec[];
  readonly owed: readonly RunSpec[];
  /** Nothing differs and the session already records it: apply has nothing to send. */
  readonly isSettled: boolean;
  /** The session itself said that nothing differs: `actual` is what is desired, and `base` was not fetched. */
  readonly isUnchanged?: boolean;
  /** The session's bytes at a path, for `--diff`. */
  readActual(path: WorkspacePath): AsyncIterable<Uint8Array>;
};

/** What the session is known to hold without asking it: the result of an earlier scan and the commits since. */
export type Known = {
  readonly actual: Tree;
  readonly base: Base;
  /** Directories in which the scan saw something ignored. */
  readonly held: ReadonlySet<WorkspacePath> | undefined;
  readonly strategy: Engine["strategy"];
  /** Paths that the plan before left open; undefined when it held something back. */
  readonly open: ReadonlySet<WorkspacePath> | undefined;
  /** The only paths that are desired otherwise than in the plan before; undefined when nobody knows. */
  readonly changed?: ReadonlySet<WorkspacePath> | undefined;
};

/** What is owed once the steps ended like this, in order. */
export function owedOnceApplied({ plan, owed, commands }: Planned, results: readonly StepResult[]): readonly RunSpec[] {
  const changed = plan.steps.flatMap(({ step }, index) => (results[index]?.status === "applied" ? pathsOf(step) : []));
  return owedAfter(owed, commands, changed);
}

/**
 * What base is to say beside its records once the steps ended like this: the digest of the declared tree, unless something
 * of it is left open.
 */
export function headerAfter(planned: Planned, results: readonly StepResult[]): BaseHeader {
  const { plan, desired, isPartial, isGuarded } = planned;
  const owed = owedOnceApplied(planned, results).map(owedKey);
  const isDone = results.every(({ status }) => status === "applied");
  const isOpen =
    plan.conflicts.length + plan.unsupported.length + plan.waiting.length + plan.kept.length > 0 || isPartial === true;
  return { desiredDigest: isDone && !isOpen && owed.length === 0 ? desired.digest : undefined, isGuarded, owed };
}
