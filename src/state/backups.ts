import { randomUUID } from "node:crypto";
import { hostname } from "node:os";
import { AgbSyncError, hasCode } from "../errors.ts";
import type { Transport } from "../transport/transport.ts";
import { printable } from "../tree/printable.ts";
import type { WorkspacePath } from "../tree/workspace-path.ts";
import { ancestorsOf, childPath, comparePaths, isBelow, ROOT, statePath } from "../tree/workspace-path.ts";
import { BackupNumbers, backupNames, inOrderOfMaking, KEPT_BACKUPS, orderOf } from "./backup-names.ts";
import { acquireLock } from "./lock.ts";
import type { Kept, Restored } from "./restore-run.ts";
import { RestoreRun } from "./restore-run.ts";
import { removeStateTree, STAGES_PATH, STEPS_STAGE } from "./stage.ts";
import { makeStateDirectory } from "./state-file.ts";

const LOCK_TIMEOUT_MS = 10_000;

/** The names of all backups in the order of making; what somebody else put beside them comes first. */
export async function listBackups(transport: Transport, signal: AbortSignal): Promise<readonly string[]> {
  return inOrderOfMaking(await backupNames(transport, signal));
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
  await mustExist(transport, name, signal);
  const owner = `a restore on ${hostname()} (process ${process.pid})`;
  const { lockTimeoutMs: timeoutMs = LOCK_TIMEOUT_MS } = options;
  const lock = await acquireLock(transport, { owner, timeoutMs }, signal);
  try {
    // Whoever removes backups holds the lock, too: what is read from here on stays until it is restored.
    const { leaves, modes } = await readBackup(transport, name, signal);
    const chosen = leaves.filter(
      ({ path }) => wanted.length === 0 || [path, ...ancestorsOf(path)].some((one) => wanted.includes(one)),
    );
    const failed = wanted
      .filter((one) => !chosen.some(({ path }) => path === one || isBelow(path, one)))
      .map(notIn(name));
    if (chosen.length === 0) return { restored: [], failed, backup: undefined };
    const numbers = new BackupNumbers(transport);
    const result = await new RestoreRun(transport, () => numbers.next(now, signal), modes, signal).finish(chosen);
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

/**
 * Removes all but the newest backups, with the lock held: none numbered `madeFrom` or higher, and nothing that agb-sync
 * did not make (S42): a number above `last` never came from the counter. One that cannot be removed stays. It is taken
 * out of the list by one rename, so that no backup is ever half there.
 */
export async function pruneBackups(
  transport: Transport,
  signal: AbortSignal,
  madeFrom = Number.POSITIVE_INFINITY,
  last = Number.MAX_SAFE_INTEGER,
): Promise<void> {
  const ours = (await listBackups(transport, signal)).filter(
    (name) => (orderOf(name) ?? Number.POSITIVE_INFINITY) <= last,
  );
  const pruned = ours.slice(0, -KEPT_BACKUPS).filter((name) => (orderOf(name) ?? 0) < madeFrom);
  if (pruned.length === 0) return;
  const stage = childPath(STAGES_PATH, `${STEPS_STAGE}${randomUUID()}`);
  await makeStateDirectory(transport, stage, signal);
  for (const name of pruned) {
    const backup = statePath("backup", name);
    try {
      await transport.move(backup, childPath(stage, name), { replace: false }, signal);
    } catch (error) {
      if (hasCode(error, "TOOL_FAILED", "NOT_POSSIBLE_HERE")) await removeStateTree(transport, backup, signal);
      else if (!hasCode(error, "PERMISSION_DENIED", "NOT_FOUND")) throw error;
    }
  }
  await removeStateTree(transport, stage, signal);
}

type Backup = { readonly leaves: readonly Kept[]; readonly modes: ReadonlyMap<WorkspacePath, number> };

async function mustExist(transport: Transport, name: string, signal: AbortSignal): Promise<void> {
  if ((await backupNames(transport, signal)).includes(name)) return;
  throw new AgbSyncError("NOT_FOUND", `there is no backup ${printable(name)}`, {
    hint: "list them with: agb-sync backups list",
  });
}

async function readBackup(transport: Transport, name: string, signal: AbortSignal): Promise<Backup> {
  await mustExist(transport, name, signal);
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
