import { changesOf } from "../apply/base-changes.ts";
import type { Step } from "../plan/plan.ts";
import { movedPath } from "../plan/relocate.ts";
import type { Known, Planned } from "../reconcile/planned.ts";
import { digestToRecord } from "../reconcile/planned.ts";
import type { ApplyReport } from "../report.ts";
import { changeBase } from "../state/base.ts";
import type { Entry, Tree } from "../tree/entry.ts";
import { covers } from "../tree/path-set.ts";
import type { WorkspacePath } from "../tree/workspace-path.ts";
import { isBelow } from "../tree/workspace-path.ts";

/**
 * What the session holds after an apply of which every step went well, worked out without asking it. Undefined when
 * anything did not go well: then only a scan knows.
 */
export function knownAfter(planned: Planned, report: ApplyReport): Known | undefined {
  if (report.outcomes.some(({ result }) => result.status !== "applied") || !report.verified) return undefined;
  const { plan, actual, base, held, baseChanges, strategy } = planned;
  const open = planned.isGuarded === true ? undefined : openPaths(planned);
  if (planned.isSettled) return { actual, base, held, strategy, open };
  const results = report.outcomes.map(({ result }) => result);
  const changes = changesOf({ steps: plan.steps, recovered: planned.recovered, baseChanges }, results, base);
  return {
    actual: treeAfter(
      actual,
      plan.steps.map(({ step }) => step),
    ),
    base: changeBase(base, changes, digestToRecord(planned)),
    held,
    strategy,
    open,
  };
}

/**
 * What is to be looked at again by every plan although it is desired as before: also what is in directories that were
 * held back, which may be desired again without it.
 */
function openPaths({ plan, desired, actual, base }: Planned): ReadonlySet<WorkspacePath> {
  const open = new Set([...plan.conflicts, ...plan.unsupported].map(({ path }) => path));
  const directories = new Set([...desired.held].filter((path) => actual.get(path)?.kind === "directory"));
  if (directories.size === 0) return open;
  for (const path of [...actual.keys(), ...base.entries.keys()]) if (covers(directories, path)) open.add(path);
  return open;
}

/** The tree once the steps were carried out, in their order. */
export function treeAfter(before: Tree, steps: readonly Step[]): Tree {
  const tree = new Map(before);
  const held = new Map<Step, Entry>();
  for (const step of steps) {
    if (step.op !== "move" || !step.held) continue;
    held.set(step, step.before);
    tree.delete(step.from);
  }
  for (const step of steps) carryOut(step, tree, held.get(step));
  return tree;
}

function carryOut(step: Step, tree: Map<WorkspacePath, Entry>, held: Entry | undefined): void {
  switch (step.op) {
    case "create-directory":
      tree.set(step.path, { kind: "directory", mode: step.mode });
      return;
    case "write":
      tree.set(step.path, { kind: "file", mode: step.mode, sizeBytes: step.sizeBytes, digest: step.digest });
      return;
    case "create-link":
      tree.set(step.path, { kind: "link", target: step.target });
      return;
    case "move": {
      const below = step.before.kind === "directory" ? [...tree].filter(([path]) => isBelow(path, step.from)) : [];
      if (held === undefined) tree.delete(step.from);
      tree.set(step.to, held ?? step.before);
      for (const [path, entry] of below) {
        tree.delete(path);
        tree.set(movedPath(path, step.from, step.to), entry);
      }
      return;
    }
    case "set-mode": {
      const entry = tree.get(step.path);
      if (entry?.kind === "file" || entry?.kind === "directory") tree.set(step.path, { ...entry, mode: step.mode });
      return;
    }
    case "delete": {
      // A directory in which something of others is left stays.
      const isLeft = step.before.kind === "directory" && [...tree.keys()].some((path) => isBelow(path, step.path));
      if (!isLeft) tree.delete(step.path);
      return;
    }
  }
}
