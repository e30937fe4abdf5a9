import { randomUUID } from "node:crypto";
import { hostname } from "node:os";
import { AgbSyncError, hasCode } from "../errors.ts";
import type { Transport } from "../transport/transport.ts";
import { isClosed, OWNER_ALL } from "../tree/entry.ts";
import { printable } from "../tree/printable.ts";
import type { WorkspacePath } from "../tree/workspace-path.ts";
import { ancestorsOf, childPath, comparePaths, isBelow, ROOT, statePath } from "../tree/workspace-path.ts";
import { acquireLock } from "./lock.ts";
import type { Kept, Restored } from "./restore-run.ts";
import { RestoreRun } from "./restore-run.ts";

/** Where replaced and deleted bytes of others are kept below the root, each apply in a directory of its own. */
export const BACKUPS_PATH = statePath("backup");

/** How many backups are kept. */
export const KEPT_BACKUPS = 5;

const LOCK_TIMEOUT_MS = 10_000;

/** A name that sorts by time and belongs to one apply or restore. */
export function backupName(now: Date, id: string): string {
  return `${now.toISOString().replaceAll(/[-:]|\.\d+/g, "")}-${id.slice(0, 6)}`;
}

/** The names of all backups, oldest first. */
export async function listBackups(transport: Transport, signal: AbortSignal): Promise<readonly string[]> {
  try {
    const children = await transport.listDirectory(BACKUPS_PATH, signal);
    return children.map(({ name }) => name).toSorted();
  } catch (error) {
    if (hasCode(error, "NOT_FOUND")) return [];
    throw error;
  }
}

/**
 * The workspace paths that a backup holds, in path order; of directories those with nothing in them.
 * @throws {AgbSyncError} `NOT_FOUND` for an unknown name.
 */
export async function pathsInBackup(
  transport: Transport,
  name: string,
  signal: AbortSignal,
): Promise<readonly WorkspacePath[]> {
  const { leaves } = await readBackup(transport, name, signal);
  return leaves.map(({ path }) => path);
}

/** How long a restore waits for somebody else's lock; ten seconds by default. */
export type RestoreOptions = { readonly lockTimeoutMs?: number };

/**
 * Brings files of a backup back to where they were, or those at and below `wanted`. What stands there now, or where a
 * directory above is needed, goes to a new backup first, so a restore can itself be undone; the old backup stays as it
 * is, except for what the session cannot hold a copy of: that is moved. A path that fails stays as it was, is reported,
 * and stops no other.
 * @throws {AgbSyncError} `NOT_FOUND` for an unknown name, `LOCKED` when somebody else is at work.
 */
export async function restoreBackup(
  transport: Transport,
  name: string,
  wanted: readonly WorkspacePath[],
  now: Date,
  signal: AbortSignal,
  options: RestoreOptions = {},
): Promise<Restored> {
  const { leaves, modes } = await readBackup(transport, name, signal);
  const chosen = leaves.filter(
    ({ path }) => wanted.length === 0 || [path, ...ancestorsOf(path)].some((one) => wanted.includes(one)),
  );
  const failed = wanted
    .filter((one) => !chosen.some(({ path }) => path === one || isBelow(path, one)))
    .map(notIn(name));
  if (chosen.length === 0) return { restored: [], failed, backup: undefined };
  const owner = `a restore on ${hostname()} (process ${process.pid})`;
  const { lockTimeoutMs: timeoutMs = LOCK_TIMEOUT_MS } = options;
  const lock = await acquireLock(transport, { owner, timeoutMs }, signal);
  try {
    const result = await new RestoreRun(transport, backupName(now, randomUUID()), modes, signal).finish(chosen);
    return { ...result, failed: [...result.failed, ...failed] };
  } finally {
    await lock.release();
  }
}

function notIn(name: string) {
  return (path: WorkspacePath) => ({
    path,
    error: new AgbSyncError("NOT_FOUND", `backup ${printable(name)} does not hold ${printable(path)}`),
  });
}

/** Removes all but the newest backups. One that cannot be removed stays. */
export async function pruneBackups(transport: Transport, signal: AbortSignal): Promise<void> {
  const names = await listBackups(transport, signal);
  for (const name of names.slice(0, Math.max(0, names.length - KEPT_BACKUPS))) {
    try {
      await removeTree(transport, statePath("backup", name), signal);
    } catch (error) {
      if (!hasCode(error, "PERMISSION_DENIED", "NOT_FOUND", "DIRECTORY_NOT_EMPTY")) throw error;
    }
  }
}

type Backup = { readonly leaves: readonly Kept[]; readonly modes: ReadonlyMap<WorkspacePath, number> };

async function readBackup(transport: Transport, name: string, signal: AbortSignal): Promise<Backup> {
  if (!(await listBackups(transport, signal)).includes(name)) {
    throw new AgbSyncError("NOT_FOUND", `there is no backup ${printable(name)}`, {
      hint: "list them with: agb-sync backups list",
    });
  }
  const leaves: Kept[] = [];
  const modes = new Map<WorkspacePath, number>();
  const visit = async (keptIn: WorkspacePath, directory: WorkspacePath): Promise<number> => {
    const children = await transport.listDirectory(keptIn, signal);
    for (const { name: child } of children) {
      const [path, keptAt] = [childPath(directory, child), childPath(keptIn, child)];
      const entry = await transport.stat(keptAt, signal);
      if (entry === undefined) continue;
      if (entry.kind === "directory" && entry.mode !== undefined) modes.set(path, entry.mode);
      const isLeaf = entry.kind !== "directory" || (await visit(keptAt, path)) === 0;
      if (isLeaf) leaves.push({ path, keptAt, entry });
    }
    return children.length;
  };
  await visit(statePath("backup", name), ROOT);
  return { leaves: leaves.toSorted((one, other) => comparePaths(one.path, other.path)), modes };
}

/** Directories that their owner may not change are opened first. */
async function removeTree(transport: Transport, top: WorkspacePath, signal: AbortSignal): Promise<void> {
  const entry = await transport.stat(top, signal);
  if (entry?.kind !== "directory") {
    await transport.deleteFile(top, signal);
    return;
  }
  const { mode = OWNER_ALL } = entry;
  if (isClosed(mode)) await transport.setMode(top, mode | OWNER_ALL, signal);
  for (const { name, kind } of await transport.listDirectory(top, signal)) {
    const path = childPath(top, name);
    if (kind === "directory" || kind === "unknown") await removeTree(transport, path, signal);
    else await transport.deleteFile(path, signal);
  }
  try {
    await transport.removeDirectory(top, signal);
  } catch (error) {
    // Without a shell empty directories stay.
    if (!hasCode(error, "NOT_POSSIBLE_HERE")) throw error;
  }
}
