import type { MoveSpec } from "../manifest/manifest.ts";
import type { PathPolicy } from "../manifest/policy.ts";
import type { BaseChange } from "../tree/base.ts";
import type { Digest } from "../tree/digest.ts";
import type { Entry } from "../tree/entry.ts";
import { sameContent, sameMode } from "../tree/entry.ts";
import { treeDigest } from "../tree/tree-digest.ts";
import type { WorkspacePath } from "../tree/workspace-path.ts";
import { comparePaths } from "../tree/workspace-path.ts";
import { detectMoves } from "./detect-moves.ts";
import type { Change, DiffInput } from "./diff-trees.ts";
import { diffTrees } from "./diff-trees.ts";
import { orderSteps, targetOf } from "./order-steps.ts";
import type { Plan, Step, Unsupported } from "./plan.ts";
import { relocate } from "./relocate.ts";

/** Everything a plan depends on. */
export type PlanInput = DiffInput & {
  readonly sessionId: string;
  readonly root: string;
  readonly moves: readonly MoveSpec[];
  readonly desiredDigest: Digest;
  readonly detectMoves: boolean;
  readonly warnings: readonly string[];
};

/** A plan, and what base learns beside its steps. */
export type BuiltPlan = { readonly plan: Plan; readonly baseChanges: readonly BaseChange[] };

/** From three trees to ordered steps. Pure: the same input gives the same plan, byte for byte (S37). */
export function buildPlan(input: PlanInput): BuiltPlan {
  const relocation = relocate(input.moves, input.actual, input.base);
  const diff = diffTrees({ ...input, actual: relocation.actual, base: relocation.base });
  const { changes } = diff;
  const moves = input.detectMoves ? detectMoves(changes, input.desired, relocation.actual) : [];
  const movedTo = new Map(moves.map((move) => [move.to, move]));
  const movedFrom = new Set(moves.map((move) => move.from));
  const makesRoom = new Set<Step>();
  const steps: Step[] = [];
  for (const change of changes) {
    const { path, before, after } = change;
    const backup = change.foreign;
    const isVacated = movedFrom.has(path);
    if (after === undefined) {
      if (before === undefined || isVacated) continue;
      const remove: Step = { op: "delete", path, before, backup };
      if (isInTheWay(change, input)) makesRoom.add(remove);
      steps.push(remove);
      continue;
    }
    if (before !== undefined && sameContent(before, after)) {
      if ("mode" in after && after.mode !== undefined && "mode" in before) {
        steps.push({ op: "set-mode", path, mode: after.mode, before: before.mode });
      }
      continue;
    }
    const changesKind = before !== undefined && (before.kind === "directory" || after.kind === "directory");
    if (changesKind && !isVacated) {
      const remove: Step = { op: "delete", path, before, backup };
      makesRoom.add(remove);
      steps.push(remove);
    }
    const move = movedTo.get(path);
    const source = move === undefined ? undefined : relocation.actual.get(move.from);
    if (move !== undefined && source !== undefined) {
      steps.push({ op: "move", from: move.from, to: path, before: source, held: move.held });
      if (!sameMode(source, after) && "mode" in after && after.mode !== undefined && "mode" in source) {
        steps.push({ op: "set-mode", path, mode: after.mode, before: source.mode });
      }
      continue;
    }
    const replaced = before === undefined || changesKind || isVacated ? {} : { before };
    steps.push(creation(path, after, { ...replaced, backup: backup && !changesKind }, input.policies.get(path)));
  }
  const { possible, unsupported } = sortOut(steps, input.unsupported);
  const plan: Plan = {
    version: 1,
    sessionId: input.sessionId,
    root: input.root,
    madeFrom: { desired: input.desiredDigest, actual: treeDigest(input.actual) },
    steps: orderSteps(possible, relocation.moves, makesRoom),
    conflicts: [...relocation.conflicts, ...diff.conflicts],
    unsupported: [...diff.unsupported, ...unsupported],
    kept: diff.kept,
    waiting: diff.waiting.toSorted(comparePaths),
    warnings: [...input.warnings, ...diff.warnings],
  };
  return { plan, baseChanges: diff.baseChanges };
}

/** A deletion that something else waits for, because its place is wanted: below or at a path that changes its kind. */
function isInTheWay(change: Change, input: PlanInput): boolean {
  for (let slash = change.path.length; slash > 0; slash = change.path.lastIndexOf("/", slash - 1)) {
    const wanted = input.desired.get(change.path.slice(0, slash) as WorkspacePath);
    if (wanted !== undefined && wanted.kind !== "directory") return true;
  }
  return false;
}

function creation(
  path: WorkspacePath,
  after: Entry,
  replaced: { readonly before?: Entry; readonly backup: boolean },
  policy: PathPolicy | undefined,
): Step {
  switch (after.kind) {
    case "directory":
      return { op: "create-directory", path, mode: after.mode ?? 0o755 };
    case "file":
      if (after.digest === undefined) throw new TypeError(`desired file ${path} has no digest`);
      return {
        op: "write",
        path,
        mode: after.mode ?? 0o644,
        sizeBytes: after.sizeBytes,
        digest: after.digest,
        sensitive: policy?.sensitive ?? false,
        ...replaced,
      };
    case "link":
      return { op: "create-link", path, target: after.target ?? "", ...replaced };
    case "special":
      throw new TypeError(`desired entry ${path} cannot be a special file`);
  }
}

function sortOut(
  steps: readonly Step[],
  fault: PlanInput["unsupported"],
): { readonly possible: readonly Step[]; readonly unsupported: readonly Unsupported[] } {
  const possible: Step[] = [];
  const unsupported: Unsupported[] = [];
  for (const step of steps) {
    const reason = fault(step);
    if (reason === undefined) possible.push(step);
    else unsupported.push({ path: targetOf(step), reason });
  }
  return { possible, unsupported };
}
