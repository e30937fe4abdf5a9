import { randomUUID } from "node:crypto";
import { hasCode } from "../errors.ts";
import type { Transport } from "../transport/transport.ts";
import { isClosed, OWNER_ALL } from "../tree/entry.ts";
import type { WorkspacePath } from "../tree/workspace-path.ts";
import { childPath, parentPath, ROOT, statePath } from "../tree/workspace-path.ts";
import type { BackupNumbers } from "./backup-names.ts";
import { BACKUPS_PATH } from "./backup-names.ts";
import { listState, makeStateDirectory } from "./state-file.ts";

/** Where work keeps what it is busy with, each piece in a directory of its own. */
export const STAGES_PATH = statePath("stage");

/** How stages begin that are made only with the lock held: whoever has the lock knows that the owners of others are gone. */
export const STEPS_STAGE = "s-";

/** New contents of any apply, by their digest; see `StagedContents`. */
export const CONTENTS_NAME = "content";

/** Directories that could not be removed, with nothing in them that counts. */
const EMPTIED_PATH = statePath("emptied");

/**
 * In a stage `o` holds what was replaced or deleted and `h` what waits for its new place, both below a directory a layer
 * and there under their path in the workspace: should their owner be killed, each layer is a backup as it is.
 */
export const ASIDE_NAME = "o";
/** See {@link ASIDE_NAME}. */
export const HELD_NAME = "h";

/** Earlier versions set things aside without their path. */
const nameless = /^(?:old|held)-/;

/**
 * What runs that were cut off had set aside may be the only copy of somebody's bytes: it becomes a backup, under the paths
 * where it was. With the lock held. Contents that were staged stay: they are used again. `discard` removes the rest of a
 * stage that is nobody's any more; without it only stages of work by file calls are.
 */
export async function rescueLeftovers(
  transport: Transport,
  numbers: BackupNumbers,
  discard: ((stage: WorkspacePath) => Promise<void>) | undefined,
  signal: AbortSignal,
): Promise<void> {
  for (const { name, kind } of await listState(transport, STAGES_PATH, signal)) {
    if (name === CONTENTS_NAME || kind !== "directory") continue;
    const stage = childPath(STAGES_PATH, name);
    const names = (await listState(transport, stage, signal)).map((child) => child.name);
    if (names.some((one) => nameless.test(one))) {
      await transport.move(stage, await newBackup(transport, numbers, signal), { replace: false }, signal);
      continue;
    }
    for (const group of [ASIDE_NAME, HELD_NAME]) {
      if (names.includes(group)) await rescueLayers(transport, childPath(stage, group), numbers, signal);
    }
    if (discard !== undefined) await discard(stage);
    else if (name.startsWith(STEPS_STAGE)) await removeStateTree(transport, stage, signal);
  }
}

async function rescueLayers(
  transport: Transport,
  group: WorkspacePath,
  numbers: BackupNumbers,
  signal: AbortSignal,
): Promise<void> {
  let backup: WorkspacePath | undefined;
  for (const { name } of await listState(transport, group, signal)) {
    const layer = childPath(group, name);
    const left = await leavesOf(transport, layer, signal);
    if (left.length === 0) continue;
    if (backup === undefined) {
      backup = await newBackup(transport, numbers, signal);
      await transport.move(layer, backup, { replace: false }, signal);
    } else if (!(await mergeInto(transport, layer, left, backup, signal))) {
      backup = await newBackup(transport, numbers, signal);
      await transport.move(layer, backup, { replace: false }, signal);
    }
  }
}

/** False when a path is taken there: what is left of the layer needs a backup of its own. */
async function mergeInto(
  transport: Transport,
  layer: WorkspacePath,
  paths: readonly WorkspacePath[],
  backup: WorkspacePath,
  signal: AbortSignal,
): Promise<boolean> {
  try {
    for (const path of paths) {
      await transport.createDirectory(parentPath(childPath(backup, path)), undefined, signal);
      await transport.move(childPath(layer, path), childPath(backup, path), { replace: false }, signal);
    }
    return true;
  } catch (error) {
    if (!hasCode(error, "ALREADY_EXISTS", "NOT_A_DIRECTORY", "IS_A_DIRECTORY")) throw error;
    return false;
  }
}

/** The place of a new backup, in a directory that is there. */
async function newBackup(transport: Transport, numbers: BackupNumbers, signal: AbortSignal): Promise<WorkspacePath> {
  await makeStateDirectory(transport, BACKUPS_PATH, signal);
  return childPath(BACKUPS_PATH, await numbers.next(new Date(), signal));
}

/** Everything below `top` but directories, relative to it. */
async function leavesOf(
  transport: Transport,
  top: WorkspacePath,
  signal: AbortSignal,
  inner: WorkspacePath = ROOT,
): Promise<readonly WorkspacePath[]> {
  const found: WorkspacePath[] = [];
  for (const { name, kind } of await listState(transport, inner === ROOT ? top : childPath(top, inner), signal)) {
    const path = childPath(inner, name);
    if (kind === "directory") found.push(...(await leavesOf(transport, top, signal, path)));
    else found.push(path);
  }
  return found;
}

/**
 * Removes a tree of the state. Directories that their owner may not change are opened first; where the session cannot
 * remove any they are put away, so that nobody has to look through them again. What may not be removed stays.
 */
export async function removeStateTree(transport: Transport, top: WorkspacePath, signal: AbortSignal): Promise<void> {
  try {
    if (await removeTree(transport, top, signal)) return;
    await makeStateDirectory(transport, EMPTIED_PATH, signal);
    await transport.move(top, childPath(EMPTIED_PATH, randomUUID()), { replace: false }, signal);
  } catch (error) {
    if (!hasCode(error, "PERMISSION_DENIED", "NOT_FOUND", "DIRECTORY_NOT_EMPTY", "NOT_A_DIRECTORY")) throw error;
  }
}

/** False when nothing but directories is left, which cannot be removed here. */
async function removeTree(transport: Transport, top: WorkspacePath, signal: AbortSignal): Promise<boolean> {
  const entry = await transport.stat(top, signal);
  if (entry?.kind !== "directory") {
    await transport.deleteFile(top, signal);
    return true;
  }
  const { mode = OWNER_ALL } = entry;
  if (isClosed(mode)) await transport.setMode(top, mode | OWNER_ALL, signal);
  let isEmpty = true;
  for (const { name, kind } of await transport.listDirectory(top, signal)) {
    const path = childPath(top, name);
    if (kind !== "directory" && kind !== "unknown") await transport.deleteFile(path, signal);
    else if (!(await removeTree(transport, path, signal))) isEmpty = false;
  }
  if (!isEmpty) return false;
  try {
    await transport.removeDirectory(top, signal);
    return true;
  } catch (error) {
    if (!hasCode(error, "NOT_POSSIBLE_HERE")) throw error;
    return false;
  }
}
