import type { RunSpec } from "../manifest/manifest.ts";
import type { Conflict, Step } from "../plan/plan.ts";
import { writtenEntry, writtenStep } from "../plan/written-step.ts";
import type { Drift } from "../reconcile/drift.ts";
import type { Planned } from "../reconcile/planned.ts";
import type { Digest } from "../tree/digest.ts";
import type { Entry, Tree } from "../tree/entry.ts";
import { sameContent } from "../tree/entry.ts";
import { treeDigest } from "../tree/tree-digest.ts";
import type { WorkspacePath } from "../tree/workspace-path.ts";

/** Whether the manifest marks a path sensitive. */
export type IsSensitive = (path: WorkspacePath) => boolean;

/**
 * A plan for other eyes. A short secret can be guessed from its digest, and what stands in the session may be a secret
 * that the manifest no longer names: digests are shown of what is declared and not sensitive, and of nothing else.
 */
export function publicPlan(planned: Planned, hides: IsSensitive) {
  const { plan, desired, actual } = planned;
  const hidden = hiddenIn(planned, hides);
  const hasSecrets = [...desired.tree.keys(), ...actual.keys()].some(hidden);
  return {
    ...plan,
    madeFrom: hasSecrets
      ? { desired: shownDigest(desired.tree, hidden), actual: shownDigest(actual, hidden) }
      : plan.madeFrom,
    steps: plan.steps.map(({ step, after }) => ({ step: publicStep(step, hides), after })),
    conflicts: plan.conflicts.map((conflict) => publicConflict(conflict, hides)),
    owed: publicCommands(planned.owed),
  };
}

/** Whether a path is sensitive, or was when the bytes that stand there were written. */
export function hiddenIn({ base }: Planned, hides: IsSensitive): IsSensitive {
  return (path) => hides(path) || base.entries.get(path)?.sensitive === true;
}

/** One step with the digests that may be shown. */
export function publicStep(step: Step, hides: IsSensitive): object {
  if (step.op === "create-directory" || step.op === "set-mode") return writtenStep(step);
  const shown = writtenStep(step.before === undefined ? step : { ...step, before: withoutDigest(step.before) });
  if (step.op !== "write" || !(step.sensitive || hides(step.path))) return shown;
  const { digest: _hidden, ...rest } = { ...step, ...shown };
  return rest;
}

/** Commands that are owed, as machines read them. */
export function publicCommands(owed: readonly RunSpec[]): readonly object[] {
  return owed.map(({ name, command }) => ({ name: name ?? null, command }));
}

/** What became of a path that drifted: it went, is of another kind, holds something else, or has only another mode. */
export function changeOf({ before, after }: Pick<Drift, "before" | "after">): "deleted" | "kind" | "content" | "mode" {
  if (after === undefined) return "deleted";
  if (before.kind !== after.kind) return "kind";
  return sameContent(before, after) ? "mode" : "content";
}

/** One path that drifted, without digests: it says nothing of what is declared. */
export function publicDrift({ path, before, after }: Drift): object {
  const found = after === undefined ? {} : { after: writtenEntry(withoutDigest(after)) };
  return { path, change: changeOf({ before, after }), before: writtenEntry(withoutDigest(before)), ...found };
}

function publicConflict({ desired, actual, ...conflict }: Conflict, hides: IsSensitive): object {
  const wanted = desired !== undefined && hides(conflict.path) ? withoutDigest(desired) : desired;
  return {
    ...conflict,
    ...(wanted === undefined ? {} : { desired: writtenEntry(wanted) }),
    actual: writtenEntry(withoutDigest(actual)),
  };
}

/** The digest of a tree whose sensitive files hold anything. */
function shownDigest(tree: Tree, hides: IsSensitive): Digest {
  return treeDigest(new Map([...tree].map(([path, entry]) => [path, hides(path) ? withoutDigest(entry) : entry])));
}

function withoutDigest(entry: Entry): Entry {
  if (entry.kind !== "file") return entry;
  const { digest: _hidden, ...rest } = entry;
  return rest;
}
