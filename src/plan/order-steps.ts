import type { WorkspacePath } from "../tree/workspace-path.ts";
import { ancestorsOf, comparePaths, parentPath } from "../tree/workspace-path.ts";
import type { PlannedStep, Step } from "./plan.ts";

/** The path that a step leaves changed: where it writes, or what it removes. */
export function targetOf(step: Step): WorkspacePath {
  return step.op === "move" ? step.to : step.path;
}

/** Every path that a step touches: a move leaves one and arrives at another. */
export function pathsOf(step: Step): readonly WorkspacePath[] {
  return step.op === "move" ? [step.from, step.to] : [step.path];
}

/**
 * Puts steps into the order in which they are carried out and says what each waits for: declared moves, what makes
 * room, directories (parents first), moves, writes, links, modes, deletions (deepest first, after everything else).
 * `after` names only direct reasons; that deletions come last is part of the order (S15).
 */
export function orderSteps(
  steps: readonly Step[],
  declaredMoves: readonly Step[],
  makesRoom: ReadonlySet<Step>,
): PlannedStep[] {
  const rank = (step: Step): number => (makesRoom.has(step) ? 0 : rankByOp[step.op]);
  const sorted = steps.toSorted((one, other) => {
    const ranks = rank(one) - rank(other);
    if (ranks !== 0) return ranks;
    const isInnerFirst = one.op === "delete" || one.op === "set-mode";
    const paths = comparePaths(targetOf(one), targetOf(other));
    return isInnerFirst ? -paths : paths;
  });
  return withDependencies([...declaredMoves, ...sorted], declaredMoves.length, makesRoom);
}

const rankByOp: Record<Step["op"], number> = {
  "create-directory": 1,
  move: 2,
  write: 3,
  "create-link": 4,
  "set-mode": 5,
  delete: 6,
};

function withDependencies(steps: readonly Step[], declaredCount: number, makesRoom: ReadonlySet<Step>): PlannedStep[] {
  const makerOf = new Map<WorkspacePath, number>(); // what creates a path
  const removerOf = new Map<WorkspacePath, number>(); // what frees a path
  const childRemovals = new Map<WorkspacePath, number[]>();
  steps.forEach((step, index) => {
    if (step.op === "delete") {
      removerOf.set(step.path, index);
      append(childRemovals, parentPath(step.path), index);
    } else if (step.op !== "set-mode") makerOf.set(targetOf(step), index);
    if (step.op === "move" && !step.held) {
      removerOf.set(step.from, index);
      append(childRemovals, parentPath(step.from), index);
    }
  });
  return steps.map((step, index) => {
    const after = new Set<number>();
    const waitFor = (other: number | undefined) => {
      if (other !== undefined && other !== index) after.add(other);
    };
    const path = targetOf(step);
    if (index < declaredCount) {
      // Declared moves follow one another: a later one may build on an earlier one.
      if (index > 0) waitFor(index - 1);
      return { step, after: [...after] };
    }
    if (step.op === "delete") {
      for (const removal of childRemovals.get(path) ?? []) waitFor(removal);
    } else if (step.op === "set-mode") waitFor(makerOf.get(path));
    else {
      for (const ancestor of ancestorsOf(path)) {
        waitFor(makerOf.get(ancestor));
        const remover = removerOf.get(ancestor);
        if (remover !== undefined && remover < declaredCount + makesRoom.size) waitFor(remover);
      }
      waitFor(removerOf.get(path));
    }
    if (declaredCount > 0 && after.size === 0) waitFor(declaredCount - 1);
    return { step, after: [...after].toSorted((one, other) => one - other) };
  });
}

/** Indexes of deletions that make room: something other than a deletion waits for them. */
export function awaitedBy(steps: readonly PlannedStep[]): ReadonlySet<number> {
  const awaited = new Set<number>();
  for (let index = steps.length - 1; index >= 0; index -= 1) {
    const planned = steps[index];
    if (planned === undefined || (planned.step.op === "delete" && !awaited.has(index))) continue;
    for (const other of planned.after) awaited.add(other);
  }
  return awaited;
}

function append(map: Map<WorkspacePath, number[]>, key: WorkspacePath, value: number): void {
  const list = map.get(key);
  if (list === undefined) map.set(key, [value]);
  else list.push(value);
}
