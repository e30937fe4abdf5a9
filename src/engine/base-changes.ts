import type { PlannedStep, Step } from "../plan/plan.ts";
import { movedPath } from "../plan/relocate.ts";
import type { Base, BaseChange, BaseEntry } from "../tree/base.ts";
import { changeBase, withChanges } from "../tree/base.ts";
import type { Entry } from "../tree/entry.ts";
import type { WorkspacePath } from "../tree/workspace-path.ts";
import { isBelow } from "../tree/workspace-path.ts";
import type { CommitRequest, StepResult } from "./engine.ts";

/** All that base learns from a commit: what runs before it left unrecorded, its steps, and what no step touches. */
export function changesOf(
  { steps, recovered, baseChanges }: Pick<CommitRequest, "steps" | "recovered" | "baseChanges">,
  results: readonly StepResult[],
  base: Base,
): readonly BaseChange[] {
  const known = recovered.length === 0 ? base : withChanges(base, recovered);
  return [...recovered, ...baseChangesOf(steps, results, known), ...baseChanges];
}

/** The same if every step goes well. */
export function intendedChanges(
  request: Pick<CommitRequest, "steps" | "recovered" | "baseChanges">,
  base: Base,
): readonly BaseChange[] {
  return changesOf(request, allApplied(request), base);
}

/** The base that a commit leaves if every step goes well. */
export function intendedBase(request: CommitRequest, base: Base, changes: readonly BaseChange[]): Base {
  return changeBase(base, changes, request.headerAfter(allApplied(request)));
}

function allApplied({ steps }: Pick<CommitRequest, "steps">): readonly StepResult[] {
  return steps.map(() => ({ status: "applied" }));
}

/**
 * What base learns from the steps that were applied, in their order; a failed or skipped step leaves the old record
 * (S31). A held move frees its old path before anything else is recorded.
 */
function baseChangesOf(
  steps: readonly PlannedStep[],
  results: readonly StepResult[],
  base: Base,
): readonly BaseChange[] {
  const applied = steps.filter((_, index) => results[index]?.status === "applied").map(({ step }) => step);
  const changes: BaseChange[] = [];
  const records = new Map<WorkspacePath, BaseEntry>(base.entries);
  const record = (path: WorkspacePath, after: BaseEntry | undefined) => {
    if (after === undefined) records.delete(path);
    else records.set(path, after);
    changes.push({ path, after });
  };
  const held = new Map<Step, BaseEntry | undefined>();
  for (const step of applied) {
    if (step.op !== "move" || !step.held) continue;
    held.set(step, records.get(step.from));
    record(step.from, undefined);
  }
  for (const step of applied) {
    if (step.op === "move" && step.before.kind !== "directory") {
      // What base did not know, or knew otherwise, is somebody's work at its new place too, and nobody's to delete (S8, S9).
      const known = step.held ? held.get(step) : records.get(step.from);
      if (!step.held) record(step.from, undefined);
      if (known !== undefined) record(step.to, known);
    } else recordStep(step, records, record);
  }
  return changes;
}

type Recorder = (path: WorkspacePath, after: BaseEntry | undefined) => void;

function recordStep(step: Step, records: Map<WorkspacePath, BaseEntry>, record: Recorder): void {
  switch (step.op) {
    case "create-directory":
      record(step.path, { entry: { kind: "directory", mode: step.mode } });
      return;
    case "write": {
      const { path, mode, sizeBytes, digest, sensitive } = step;
      record(path, { entry: { kind: "file", mode, sizeBytes, digest }, ...(sensitive ? { sensitive } : {}) });
      return;
    }
    case "create-link":
      record(step.path, { entry: { kind: "link", target: step.target } });
      return;
    case "move":
      moveSubtree(step.from, step.to, records, record);
      return;
    case "set-mode": {
      const known = records.get(step.path);
      if (known !== undefined) record(step.path, { ...known, entry: withMode(known.entry, step.mode) });
      return;
    }
    case "delete":
      record(step.path, undefined);
      return;
  }
}

function moveSubtree(
  from: WorkspacePath,
  to: WorkspacePath,
  records: Map<WorkspacePath, BaseEntry>,
  record: Recorder,
): void {
  const below = [...records].filter(([path]) => path === from || isBelow(path, from));
  for (const [path, known] of below) {
    record(path, undefined);
    record(movedPath(path, from, to), known);
  }
}

function withMode(entry: Entry, mode: number): Entry {
  return entry.kind === "file" || entry.kind === "directory" ? { ...entry, mode } : entry;
}
