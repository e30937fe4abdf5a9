import { quoteForShell } from "./shell-quote.ts";

/**
 * What a program gets to know: texts, numbers, and claims (set when true, empty when not). A list of words can only be
 * its arguments, `$@`.
 */
export type ProgramValues = Readonly<Record<string, string | number | boolean>> & {
  readonly [words]?: readonly string[];
};
/** The name of the value that becomes a program's arguments. */
export const words: unique symbol = Symbol("words");

/**
 * A command that runs the programs, one after the other, in one shell: a block of quoted assignments, then their text
 * as it stands. Nothing else puts a value into a program (S27).
 */
export function shellProgram(values: ProgramValues, ...programs: readonly string[]): string {
  const assignments = Object.entries(values).map(([name, value]) => `${name}=${wordOf(value)}\n`);
  const given = values[words];
  const list = given === undefined ? "" : `set -- ${given.map(quoteForShell).join(" ")}\n`;
  return [...assignments, list, ...programs].join("");
}

function wordOf(value: string | number | boolean): string {
  if (typeof value === "boolean") return value ? "1" : "";
  return value === "" ? "" : quoteForShell(String(value));
}
