import type { Transport } from "../transport/transport.ts";
import type { Base } from "../tree/base.ts";
import { BASE_PATH, formatBase, parseBase } from "../tree/base.ts";
import type { WorkspacePath } from "../tree/workspace-path.ts";
import { statePath } from "../tree/workspace-path.ts";
import { inspectState, listState, readState, replaceState, stagedPath } from "./state-file.ts";

/** What is stored as base; `fault` says why a stored one is treated as absent (S17, S31). */
export type StoredBase = { readonly base: Base | undefined; readonly fault: string | undefined };

/** Reads base through file calls. Reads only. */
export async function readBase(transport: Transport, signal: AbortSignal): Promise<StoredBase> {
  const { text, odd } = await inspectState(transport, BASE_PATH, signal);
  return odd === undefined ? storedBase(text, transport) : { base: undefined, fault: odd };
}

/**
 * The same; where none is stored, the one that a run that was cut off was about to put into place, and where it lies:
 * a session whose renames replace nothing has no base for a moment (protocol §6.5).
 */
export async function readLatestBase(
  transport: Transport,
  signal: AbortSignal,
): Promise<StoredBase & { readonly staged?: WorkspacePath }> {
  const { text, odd } = await inspectState(transport, BASE_PATH, signal);
  if (odd !== undefined) return { base: undefined, fault: odd };
  if (text !== undefined) return storedBase(text, transport);
  for (const generation of await stagedGenerations(transport, signal)) {
    const staged = stagedPath("base", generation);
    const { base } = storedBase(await readState(transport, staged, signal), transport);
    if (base?.generation === generation) return { base, fault: undefined, staged };
  }
  return { base: undefined, fault: undefined };
}

/** The generations that a base is staged for, the latest first. It may be half written. */
async function stagedGenerations(transport: Transport, signal: AbortSignal): Promise<readonly number[]> {
  const children = await listState(transport, statePath(), signal);
  const generations = children.flatMap(({ name }) => /^base\.([1-9]\d{0,14})\.new$/.exec(name)?.[1] ?? []);
  return generations.map(Number).toSorted((one, other) => other - one);
}

/** What this text, or its absence, says of a base of this session and root. */
export function storedBase(
  text: string | undefined,
  { sessionId, root }: Pick<Transport, "sessionId" | "root">,
): StoredBase {
  if (text === undefined) return { base: undefined, fault: undefined };
  const parsed = parseBase(text, sessionId, root);
  return "fault" in parsed ? { base: undefined, fault: parsed.fault } : { base: parsed, fault: undefined };
}

/** Replaces what is stored as base. */
export async function writeBase(transport: Transport, base: Base, signal: AbortSignal): Promise<void> {
  await replaceState(transport, "base.json", `base.${base.generation}.new`, formatBase(base), signal);
}
