import type { RunSpec } from "../manifest/manifest.ts";
import { digestOf, hexOf } from "../tree/digest.ts";
import type { WorkspacePath } from "../tree/workspace-path.ts";
import { isConcerned } from "./run-commands.ts";

/**
 * What base keeps of a command that is due and has not run to its end: which one, and what it is for, as digests. The
 * text may hold a secret (S35).
 */
export function owedKey({ name, command, cwd, onChange }: RunSpec): string {
  return `${part(name === undefined ? ["command", cwd, command] : ["name", name])}.${part([cwd, onChange])}`;
}

/**
 * The commands that `keys` name, in order. A key whose command is no longer there stands for those that are for the same
 * thing: an edit of the command does not settle what it was for.
 */
export function owedAmong(keys: readonly string[], specs: readonly RunSpec[]): readonly RunSpec[] {
  if (keys.length === 0) return [];
  const known = new Set(specs.map((spec) => idIn(owedKey(spec))));
  const ids = new Set(keys.map(idIn));
  const edited = new Set(keys.filter((key) => !known.has(idIn(key))).map(purposeIn));
  return specs.filter((spec) => ids.has(idIn(owedKey(spec))) || edited.has(purposeIn(owedKey(spec))));
}

/** The commands that are owed once these paths have changed: those that were, and those that the change calls for. */
export function owedAfter(
  owed: readonly RunSpec[],
  specs: readonly RunSpec[],
  changed: readonly WorkspacePath[],
): readonly RunSpec[] {
  return specs.filter((spec) => owed.includes(spec) || (changed.length > 0 && isConcerned(spec, changed)));
}

/** How a command is called where people read it. */
export function labelOf({ name, command }: Pick<RunSpec, "name" | "command">): string {
  return name === undefined ? `$ ${command}` : `${name}: $ ${command}`;
}

function part(value: unknown): string {
  return hexOf(digestOf(JSON.stringify(value))).slice(0, 16);
}

function idIn(key: string): string {
  return key.slice(0, 16);
}

function purposeIn(key: string): string {
  return key.slice(17);
}
