import { hasCode } from "../errors.ts";
import type { Transport } from "../transport/transport.ts";
import { digestOf } from "../tree/digest.ts";
import { statePath } from "../tree/workspace-path.ts";
import type { Base } from "./base.ts";
import { BASE_PATH, formatBase, parseBase } from "./base.ts";

/** What is stored as base; `fault` says why a stored one is treated as absent (S17, S31). */
export type StoredBase = { readonly base: Base | undefined; readonly fault: string | undefined };

/** Reads base through file calls. Reads only. */
export async function readBase(transport: Transport, signal: AbortSignal): Promise<StoredBase> {
  const chunks: Uint8Array[] = [];
  try {
    for await (const chunk of transport.readFile(BASE_PATH, signal)) chunks.push(chunk);
  } catch (error) {
    if (hasCode(error, "NOT_FOUND", "NOT_A_DIRECTORY")) return { base: undefined, fault: undefined };
    throw error;
  }
  return storedBase(Buffer.concat(chunks).toString("utf8"), transport);
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

/** Replaces base by rename: a reader sees the old or the new one (S32). */
export async function writeBase(transport: Transport, base: Base, signal: AbortSignal): Promise<void> {
  const bytes = Buffer.from(formatBase(base));
  const staged = statePath(`base.${base.generation}.new`);
  const content = {
    digest: digestOf(bytes),
    sizeBytes: bytes.byteLength,
    sensitive: true, // names and digests are nobody else's business: never part of a command
    async *open() {
      yield bytes;
    },
  };
  await transport.writeFile(staged, content, 0o600, signal);
  await transport.move(staged, BASE_PATH, { replace: true }, signal);
}
