import { hasCode } from "../errors.ts";
import type { Transport } from "../transport/transport.ts";
import { memoryContent } from "../tree/content.ts";
import type { WorkspacePath } from "../tree/workspace-path.ts";
import { statePath } from "../tree/workspace-path.ts";

/** A file of agb-sync's own below the root, as text; undefined when it is not there. */
export async function readState(
  transport: Transport,
  path: WorkspacePath,
  signal: AbortSignal,
): Promise<string | undefined> {
  const chunks: Uint8Array[] = [];
  try {
    for await (const chunk of transport.readFile(path, signal)) chunks.push(chunk);
  } catch (error) {
    if (hasCode(error, "NOT_FOUND", "NOT_A_DIRECTORY")) return undefined;
    throw error;
  }
  return Buffer.concat(chunks).toString("utf8");
}

type Replaced = "base" | "journal";

/** Where the next `name.json` of this generation is written before it takes its place. */
export function stagedPath(name: Replaced, generation: number): WorkspacePath {
  return statePath(`${name}.${generation}.new`);
}

/** Replaces the state file `name.json` by rename: a reader sees the old or the new one, of some generation (S32). */
export async function replaceState(
  transport: Transport,
  name: Replaced,
  generation: number,
  text: string,
  signal: AbortSignal,
): Promise<void> {
  const staged = stagedPath(name, generation);
  await writeState(transport, staged, text, signal);
  await transport.move(staged, statePath(`${name}.json`), { replace: true }, signal);
}

/** Writes such a file; names and digests in it are nobody else's business, so it is never part of a command. */
export async function writeState(
  transport: Transport,
  path: WorkspacePath,
  text: string,
  signal: AbortSignal,
): Promise<void> {
  await transport.writeFile(path, memoryContent(Buffer.from(text), true), 0o600, signal);
}
