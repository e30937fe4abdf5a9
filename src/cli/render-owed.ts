import type { RunSpec } from "../manifest/manifest.ts";
import { plural } from "../plural.ts";
import { labelOf } from "../run/owed.ts";
import type { Ink } from "./ink.ts";

/** One line for each command that is due and has not run to its end (S40). */
export function renderOwed(owed: readonly RunSpec[], { paint, foreign }: Ink): readonly string[] {
  return owed.map((spec) => paint("yellow", `  owed     ${foreign(labelOf(spec))}`));
}

/** `1 command is owed: apply runs it`. */
export function owedClause({ length }: readonly RunSpec[]): string {
  return `${plural(length, "command is", "commands are")} owed: apply runs ${length === 1 ? "it" : "them"}`;
}
