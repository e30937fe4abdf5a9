import type { Conflict, Plan, Step } from "../plan/plan.ts";
import { plural } from "../plural.ts";
import { printable } from "../tree/printable.ts";
import type { Paint } from "./console.ts";
import type { Ink } from "./ink.ts";

/** Lines beyond this are counted instead of shown, unless the reader asks for all. */
const MOST_LINES = 60;

/** One line for people, without colour or newline. Names are made safe to print. */
export function describeStep(step: Step): string {
  switch (step.op) {
    case "create-directory":
      return `+ ${printable(step.path)}/${step.mode === 0o755 ? "" : ` (mode ${octal(step.mode)})`}`;
    case "write": {
      const size = step.sensitive ? "sensitive" : formatBytes(step.sizeBytes);
      const mode = step.mode === 0o644 ? "" : `, mode ${octal(step.mode)}`;
      return `${step.before === undefined ? "+" : "~"} ${printable(step.path)} (${size}${mode}${step.backup ? ", after a backup" : ""})`;
    }
    case "create-link":
      return `${step.before === undefined ? "+" : "~"} ${printable(step.path)} -> ${printable(step.target)}${step.backup ? " (after a backup)" : ""}`;
    case "move":
      return `> ${printable(step.from)} -> ${printable(step.to)}`;
    case "set-mode":
      return `m ${printable(step.path)} (mode ${step.before === undefined ? "" : `${octal(step.before)} -> `}${octal(step.mode)})`;
    case "delete":
      return `- ${printable(step.path)}${step.before.kind === "directory" ? "/" : ""}${step.backup ? " (after a backup)" : ""}`;
  }
}

export function describeConflict(conflict: Conflict): string {
  return `! ${printable(conflict.path)}: ${printable(conflict.reason)}`;
}

/** The plan as people read it; `isComplete` shows every line. */
export function renderPlan(plan: Plan, unreadable: readonly string[], ink: Ink, isComplete: boolean): string {
  const lines = renderDifferences(plan, unreadable, ink, isComplete);
  return [...lines, ...(lines.length > 0 ? [""] : []), summarize(plan, unreadable)].join("\n");
}

/** One line for each step, conflict, and source that could not be read; none when nothing differs. */
export function renderDifferences(
  plan: Plan,
  unreadable: readonly string[],
  { paint, foreign }: Ink,
  isComplete: boolean,
): readonly string[] {
  const lines = plan.steps.map(({ step }) => paint(paintOf(step), `  ${describeStep(step)}`));
  const shown = isComplete || lines.length <= MOST_LINES ? lines : lines.slice(0, MOST_LINES);
  const hidden = lines.length - shown.length;
  return [
    ...shown,
    ...(hidden > 0 ? [paint("dim", `  ... and ${hidden} more (-v shows all)`)] : []),
    ...plan.conflicts.map((conflict) => paint("yellow", `  ${describeConflict(conflict)}`)),
    ...plan.unsupported.map(({ path, reason }) => paint("yellow", `  ! ${printable(path)}: ${foreign(reason)}`)),
    ...unreadable.map((path) => paint("yellow", `  ? ${printable(path)}: could not be read`)),
  ];
}

/** `Plan: 3 to create, 1 to write, …`, or that there is nothing to do, or nothing that could be done. */
export function summarize(plan: Plan, unreadable: readonly string[]): string {
  const left = [
    ...(plan.conflicts.length > 0 ? [`${plural(plan.conflicts.length, "conflict")} left alone`] : []),
    ...(plan.unsupported.length > 0 ? [`${plan.unsupported.length} not possible in this session`] : []),
    ...(unreadable.length > 0 ? [`${plural(unreadable.length, "source")} could not be read`] : []),
  ].join(", ");
  if (plan.steps.length === 0) {
    return left === "" ? `Nothing to do: ${printable(plan.root)} is as declared.` : `Nothing to apply: ${left}.`;
  }
  const counts = countSteps(plan.steps.map(({ step }) => step));
  const parts = (
    [
      ["create", counts.create],
      ["write", counts.write],
      ["move", counts.move],
      ["change mode", counts.mode],
      ["delete", counts.delete],
    ] as const
  ).filter(([, count]) => count > 0);
  const what = parts.map(([what, count]) => `${count} to ${what}`).join(", ");
  return `Plan: ${what}${left === "" ? "" : `; ${left}`}.`;
}

export type StepCounts = { create: number; write: number; move: number; mode: number; delete: number };

/** How many steps of each kind; a write onto nothing counts as a creation. */
export function countSteps(steps: readonly Step[]): StepCounts {
  const counts: StepCounts = { create: 0, write: 0, move: 0, mode: 0, delete: 0 };
  for (const step of steps) {
    if (step.op === "move" || step.op === "delete") counts[step.op] += 1;
    else if (step.op === "set-mode") counts.mode += 1;
    else if (step.op === "create-directory" || step.before === undefined) counts.create += 1;
    else counts.write += 1;
  }
  return counts;
}

/** `0 B`, `4.2 kB`, `1.5 MB`: decimal units, one digit where it says something. */
export function formatBytes(bytes: number): string {
  if (bytes < 1000) return `${bytes} B`;
  for (const [unit, size] of [
    ["kB", 1e3],
    ["MB", 1e6],
    ["GB", 1e9],
  ] as const) {
    const value = bytes / size;
    if (value < 999.5 || unit === "GB") return `${value < 99.95 ? value.toFixed(1) : Math.round(value)} ${unit}`;
  }
  return `${bytes} B`;
}

/** `86 ms`, `1.3 s`, `2 min 5 s`. */
export function formatDuration(milliseconds: number): string {
  if (milliseconds < 1000) return `${Math.round(milliseconds)} ms`;
  if (milliseconds < 60_000) return `${(milliseconds / 1000).toFixed(1)} s`;
  return `${Math.floor(milliseconds / 60_000)} min ${Math.round((milliseconds % 60_000) / 1000)} s`;
}

function paintOf(step: Step): Paint {
  if (step.op === "delete") return "red";
  if (step.op === "move" || step.op === "set-mode") return "cyan";
  return step.op !== "create-directory" && step.before !== undefined ? "yellow" : "green";
}

function octal(mode: number): string {
  return mode.toString(8).padStart(4, "0");
}
