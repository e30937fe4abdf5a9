import type { Conflict, Step } from "../plan/plan.ts";
import type { Entry } from "../tree/entry.ts";
import { printable } from "../tree/printable.ts";
import { formatBytes } from "./quantities.ts";

/** What is known of a step beyond itself. */
export type StepSetting = {
  /** Default true; false: `--no-backup`, what is replaced or deleted is lost. */
  readonly hasBackup?: boolean;
  /** What a deletion at the same path takes away, or a creation at the same path brings. */
  readonly other?: Step | undefined;
};

/** One line for people, without colour or newline. Names are made safe to print. */
export function describeStep(step: Step, { hasBackup = true, other }: StepSetting = {}): string {
  const backup = "backup" in step && step.backup ? [hasBackup ? "after a backup" : "without a backup"] : [];
  const instead = other?.op === "delete" ? [`instead of ${kindOf(other.before)}`] : [];
  switch (step.op) {
    case "create-directory": {
      const mode = step.mode === 0o755 ? [] : [`mode ${octal(step.mode)}`];
      return `+ ${printable(step.path)}/${inBrackets([...mode, ...instead])}`;
    }
    case "write": {
      const size = step.sensitive ? "sensitive" : formatBytes(step.sizeBytes);
      const mode = step.mode === 0o644 ? [] : [`mode ${octal(step.mode)}`];
      const was = step.before === undefined || step.before.kind === "file" ? [] : [`was ${kindOf(step.before)}`];
      return `${sign(step)} ${printable(step.path)}${inBrackets([size, ...mode, ...was, ...instead, ...backup])}`;
    }
    case "create-link": {
      const was = step.before === undefined || step.before.kind === "link" ? [] : [`was ${kindOf(step.before)}`];
      const remarks = inBrackets([...was, ...instead, ...backup]);
      return `${sign(step)} ${printable(step.path)} -> ${printable(step.target)}${remarks}`;
    }
    case "move":
      return `> ${printable(step.from)} -> ${printable(step.to)}${inBrackets(instead)}`;
    case "set-mode":
      return `m ${printable(step.path)} (mode ${step.before === undefined ? "" : `${octal(step.before)} -> `}${octal(step.mode)})`;
    case "delete": {
      const gives = other === undefined ? [] : [`makes way for ${kindMade(other)}`];
      const slash = step.before.kind === "directory" ? "/" : "";
      return `- ${printable(step.path)}${slash}${inBrackets([...gives, ...backup])}`;
    }
  }
}

export function describeConflict(conflict: Conflict): string {
  return `! conflict ${printable(conflict.path)}: ${printable(conflict.reason)}`;
}

export type StepCounts = { create: number; write: number; move: number; mode: number; delete: number };

/** How many steps of each kind; a write onto nothing counts as a creation. */
export function countSteps(steps: readonly Step[]): StepCounts {
  const counts: StepCounts = { create: 0, write: 0, move: 0, mode: 0, delete: 0 };
  for (const step of steps) {
    if (step.op === "move" || step.op === "delete") counts[step.op] += 1;
    else if (step.op === "set-mode") counts.mode += 1;
    else if (isCreation(step)) counts.create += 1;
    else counts.write += 1;
  }
  return counts;
}

/** Makes something where nothing is: nothing of anybody's is lost by it. */
export function isCreation(step: Step): boolean {
  return step.op === "create-directory" || ((step.op === "write" || step.op === "create-link") && !step.before);
}

function sign(step: Step): "+" | "~" {
  return isCreation(step) ? "+" : "~";
}

function inBrackets(remarks: readonly string[]): string {
  return remarks.length === 0 ? "" : ` (${remarks.join(", ")})`;
}

function kindOf({ kind }: Entry): string {
  return kind === "special" ? "a socket, FIFO or device" : `a ${kind}`;
}

function kindMade(step: Step): string {
  switch (step.op) {
    case "create-directory":
      return "a directory";
    case "create-link":
      return "a link";
    case "move":
      return kindOf(step.before);
    case "write":
    case "set-mode":
    case "delete":
      return "a file";
  }
}

function octal(mode: number): string {
  return mode.toString(8).padStart(4, "0");
}
