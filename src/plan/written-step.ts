import type { Entry } from "../tree/entry.ts";
import type { Step } from "./plan.ts";

/** A mode as manifests have it: `"0644"`. */
function writtenMode(mode: number): string {
  return mode.toString(8).padStart(4, "0");
}

/** An entry as it is written down: its mode as manifests have it. */
export function writtenEntry(entry: Entry): object {
  return "mode" in entry && entry.mode !== undefined ? { ...entry, mode: writtenMode(entry.mode) } : entry;
}

/** A step as it is written down, in JSON of every kind and in saved plans: modes as manifests have them. */
export function writtenStep(step: Step): object {
  const mode = "mode" in step ? { mode: writtenMode(step.mode) } : {};
  if (step.op === "set-mode") {
    return { ...step, ...mode, ...(step.before === undefined ? {} : { before: writtenMode(step.before) }) };
  }
  const before = "before" in step && step.before !== undefined ? { before: writtenEntry(step.before) } : {};
  return { ...step, ...mode, ...before };
}
