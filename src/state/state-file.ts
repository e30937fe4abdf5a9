import { randomBytes } from "node:crypto";
import { hasCode } from "../errors.ts";
import type { Child, Transport } from "../transport/transport.ts";
import { memoryContent } from "../tree/content.ts";
import type { Entry } from "../tree/entry.ts";
import type { WorkspacePath } from "../tree/workspace-path.ts";
import { ancestorsOf, baseName, childPath, parentPath, STATE_DIRECTORY, statePath } from "../tree/workspace-path.ts";

/** More than base of 500,000 paths takes; what is larger was not written by agb-sync and is not read. */
export const LARGEST_STATE_BYTES = 256 * 1024 * 1024;

/** A file of the state as text; `odd` says why what stands there is none of ours, to be read after its name. */
export type StateText = { readonly text: string | undefined; readonly odd: string | undefined };

/** What is said of files that a scan found odd. */
export function oddWarnings(
  ...read: readonly (readonly [WorkspacePath, { readonly odd?: string | undefined }])[]
): string[] {
  return read.flatMap(([path, { odd }]) =>
    odd === undefined
      ? []
      : [`${path} ${odd}, which agb-sync did not put there: it is not used, and the next apply sets it aside`],
  );
}

/** Reads a file of agb-sync's own below the root. Only regular files of a sane size are opened at all (S31). */
export async function inspectState(
  transport: Transport,
  path: WorkspacePath,
  signal: AbortSignal,
  largestBytes = LARGEST_STATE_BYTES,
): Promise<StateText> {
  const entry = await lookAt(transport, path, signal);
  if (entry === undefined) return { text: undefined, odd: undefined };
  if (entry.kind !== "file") return { text: undefined, odd: `is a ${nounOf(entry)}` };
  if (entry.sizeBytes > largestBytes) return { text: undefined, odd: `is too large (${entry.sizeBytes} bytes)` };
  const chunks: Uint8Array[] = [];
  let sizeBytes = 0;
  try {
    for await (const chunk of transport.readFile(path, signal)) {
      sizeBytes += chunk.byteLength;
      if (sizeBytes > largestBytes) return { text: undefined, odd: "is too large" };
      chunks.push(chunk);
    }
  } catch (error) {
    if (hasCode(error, "NOT_FOUND", "NOT_A_DIRECTORY")) return { text: undefined, odd: undefined };
    if (hasCode(error, "IS_A_DIRECTORY", "OUTSIDE_ROOT")) return { text: undefined, odd: "is no file" };
    throw error;
  }
  return { text: Buffer.concat(chunks).toString("utf8"), odd: undefined };
}

/** The same, with what is not ours treated as absent. */
export async function readState(
  transport: Transport,
  path: WorkspacePath,
  signal: AbortSignal,
  largestBytes = LARGEST_STATE_BYTES,
): Promise<string | undefined> {
  return (await inspectState(transport, path, signal, largestBytes)).text;
}

/** What a directory of the state holds; nothing where it is missing, or something else stands there. */
export async function listState(
  transport: Transport,
  path: WorkspacePath,
  signal: AbortSignal,
): Promise<readonly Child[]> {
  try {
    return await transport.listDirectory(path, signal);
  } catch (error) {
    if (hasCode(error, "NOT_FOUND", "NOT_A_DIRECTORY")) return [];
    if (!hasCode(error, "OUTSIDE_ROOT", "TOOL_FAILED", "BAD_ANSWER")) throw error;
    const there = await lookAt(transport, path, signal);
    if (there === undefined || there.kind === "directory") throw error;
    return [];
  }
}

/** Makes a directory of the state; what stands in its place, or where one above it belongs, is set aside. */
export async function makeStateDirectory(
  transport: Transport,
  path: WorkspacePath,
  signal: AbortSignal,
): Promise<void> {
  try {
    await transport.createDirectory(path, undefined, signal);
  } catch (error) {
    let madeWay = false;
    for (const one of [...ancestorsOf(path), path]) {
      const there = await lookAt(transport, one, signal);
      if (there === undefined || there.kind === "directory") continue;
      // Whoever made a link of the whole state directory meant something by it.
      if (one === STATE_DIRECTORY && there.kind === "link") continue;
      await setAside(transport, one, signal);
      madeWay = true;
    }
    if (!madeWay) throw error;
    await transport.createDirectory(path, undefined, signal);
  }
}

/** Sets aside what stands in the place of a file of the state and is none. True when there was something. */
export async function makeWay(transport: Transport, path: WorkspacePath, signal: AbortSignal): Promise<boolean> {
  const there = await lookAt(transport, path, signal);
  if (there === undefined || there.kind === "file") return false;
  await setAside(transport, path, signal);
  return true;
}

/** In the name of whatever was set aside. */
export const ASIDE_MARK = ".aside-";

const unsaid = new WeakMap<Transport, string[]>();

/** Renames something of the state beside itself, which needs no permission on it. */
export async function setAside(transport: Transport, path: WorkspacePath, signal: AbortSignal): Promise<void> {
  const aside = childPath(parentPath(path), `${baseName(path)}${ASIDE_MARK}${randomBytes(3).toString("hex")}`);
  await transport.move(path, aside, { replace: false }, signal);
  unsaid.set(transport, [...(unsaid.get(transport) ?? []), asideWarning(path)]);
}

/** What is to be told of things that were set aside by way of this transport; each once. */
export function takeWarnings(transport: Transport): readonly string[] {
  const warnings = unsaid.get(transport) ?? [];
  unsaid.delete(transport);
  return warnings;
}

/** What is said of something in the state that is not as agb-sync makes it. */
export function asideWarning(path: string): string {
  return `${path} was nothing that agb-sync had put there: it was set aside beside its place and is not used`;
}

/** As in "is a …". */
function nounOf(entry: Entry): string {
  return { file: "file", directory: "directory", link: "link", special: "FIFO, socket or device" }[entry.kind];
}

/**
 * Keeps the state out of `git add -A`, `git stash -u` and `git clean -fd` where the workspace, or what is above it, is a
 * repository. Where it cannot be, nothing is lost but that.
 */
export async function hideFromGit(transport: Transport, signal: AbortSignal): Promise<void> {
  const path = statePath(".gitignore");
  try {
    if ((await transport.stat(path, signal)) === undefined) await writeState(transport, path, "*\n", signal);
  } catch (error) {
    if (!hasCode(error, "IS_A_DIRECTORY", "PERMISSION_DENIED", "NO_SPACE", "TOOL_FAILED", "OUTSIDE_ROOT")) throw error;
  }
}

/** Where the next `name.json` of this generation is written before it takes its place. */
export function stagedPath(name: "base" | "journal", generation: number): WorkspacePath {
  return statePath(`${name}.${generation}.new`);
}

/** Replaces a state file by rename: a reader sees the old or the new one (S32). Whatever stood there makes way. */
export async function replaceState(
  transport: Transport,
  name: string,
  stagedName: string,
  text: string,
  signal: AbortSignal,
): Promise<void> {
  const [path, staged] = [statePath(name), statePath(stagedName)];
  await makeWay(transport, staged, signal);
  await writeState(transport, staged, text, signal);
  try {
    await transport.move(staged, path, { replace: true }, signal);
  } catch (error) {
    if (!(await makeWay(transport, path, signal))) throw error;
    await transport.move(staged, path, { replace: true }, signal);
  }
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

async function lookAt(transport: Transport, path: WorkspacePath, signal: AbortSignal): Promise<Entry | undefined> {
  try {
    return await transport.stat(path, signal);
  } catch (error) {
    // A link where the state directory should be, or one above the file: what is behind it is not ours.
    if (hasCode(error, "OUTSIDE_ROOT")) return undefined;
    throw error;
  }
}
