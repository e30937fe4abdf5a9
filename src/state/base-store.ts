import type { Transport } from "../transport/transport.ts";
import type { Base } from "./base.ts";
import { BASE_PATH, formatBase, parseBase } from "./base.ts";
import { readState, replaceState } from "./state-file.ts";

/** What is stored as base; `fault` says why a stored one is treated as absent (S17, S31). */
export type StoredBase = { readonly base: Base | undefined; readonly fault: string | undefined };

/** Reads base through file calls. Reads only. */
export async function readBase(transport: Transport, signal: AbortSignal): Promise<StoredBase> {
  return storedBase(await readState(transport, BASE_PATH, signal), transport);
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
  await replaceState(transport, "base", base.generation, formatBase(base), signal);
}
