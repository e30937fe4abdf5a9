import { AgbSyncError, hasCode } from "../errors.ts";
import type { Transport } from "../transport/transport.ts";
import type { Content } from "../tree/content.ts";
import type { Entry } from "../tree/entry.ts";
import { printable } from "../tree/printable.ts";
import type { WorkspacePath } from "../tree/workspace-path.ts";
import { ancestorsOf, childPath, parentPath, statePath } from "../tree/workspace-path.ts";

/** Where replaced and deleted bytes of others are kept below the root, each apply in a directory of its own. */
export const BACKUPS_PATH = statePath("backup");

/** How many backups are kept. */
export const KEPT_BACKUPS = 5;

/** A name that sorts by time and belongs to one apply. */
export function backupName(now: Date, applyId: string): string {
  return `${now.toISOString().replaceAll(/[-:]|\.\d+/g, "")}-${applyId.slice(0, 6)}`;
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

/** The workspace paths that a backup holds. @throws {AgbSyncError} `NOT_FOUND` for an unknown name. */
export async function pathsInBackup(
  transport: Transport,
  name: string,
  signal: AbortSignal,
): Promise<readonly WorkspacePath[]> {
  if (!(await listBackups(transport, signal)).includes(name)) {
    throw new AgbSyncError("NOT_FOUND", `there is no backup ${printable(name)}`, {
      hint: "list them with: agb-sync backups list",
    });
  }
  const top = statePath("backup", name);
  const found = await entriesBelow(transport, top, signal);
  return found
    .filter(({ entry }) => entry.kind !== "directory")
    .map(({ path }) => path.slice(top.length + 1) as WorkspacePath);
}

/**
 * Brings files of a backup back to where they were. What stands there now goes to a new backup first, so a restore can
 * itself be undone; the old backup stays as it is. Returns the restored paths.
 */
export async function restoreBackup(
  transport: Transport,
  name: string,
  wanted: readonly WorkspacePath[],
  now: Date,
  signal: AbortSignal,
): Promise<{ readonly restored: readonly WorkspacePath[]; readonly backup: string | undefined }> {
  const paths = (await pathsInBackup(transport, name, signal)).filter(
    (path) => wanted.length === 0 || wanted.includes(path) || ancestorsOf(path).some((above) => wanted.includes(above)),
  );
  const own = backupName(now, "restore");
  let hasBackup = false;
  for (const path of paths) {
    const kept = statePath("backup", name, path);
    const staged = statePath("stage", `${own}.restore`);
    const entry = await transport.stat(kept, signal);
    if (entry?.kind === "file") await copyFile(transport, kept, staged, entry, signal);
    if ((await transport.stat(path, signal)) !== undefined) {
      const aside = statePath("backup", own, path);
      await transport.createDirectory(parentPath(aside), undefined, signal);
      await transport.move(path, aside, { replace: false }, signal);
      hasBackup = true;
    }
    if (parentPath(path) !== "") await transport.createDirectory(parentPath(path), undefined, signal);
    if (entry?.kind === "link" && entry.target !== undefined) await transport.createLink(path, entry.target, signal);
    else await transport.move(staged, path, { replace: false }, signal);
  }
  return { restored: paths, backup: hasBackup ? own : undefined };
}

/** Removes all but the newest backups. */
export async function pruneBackups(transport: Transport, signal: AbortSignal): Promise<void> {
  const names = await listBackups(transport, signal);
  for (const name of names.slice(0, Math.max(0, names.length - KEPT_BACKUPS))) {
    await removeTree(transport, statePath("backup", name), signal);
  }
}

async function copyFile(
  transport: Transport,
  from: WorkspacePath,
  to: WorkspacePath,
  entry: Extract<Entry, { kind: "file" }>,
  signal: AbortSignal,
): Promise<void> {
  const digest = (await transport.digestFiles([from], signal)).get(from);
  if (digest === undefined) throw new AgbSyncError("NOT_FOUND", `${printable(from)} cannot be read`);
  const content: Content = {
    digest,
    sizeBytes: entry.sizeBytes,
    sensitive: true,
    open: () => transport.readFile(from, signal),
  };
  await transport.createDirectory(parentPath(to), undefined, signal);
  await transport.writeFile(to, content, entry.mode ?? 0o644, signal);
}

type Found = { readonly path: WorkspacePath; readonly entry: Entry };

/** Everything below a directory, deepest last. */
async function entriesBelow(transport: Transport, top: WorkspacePath, signal: AbortSignal): Promise<readonly Found[]> {
  const found: Found[] = [];
  const visit = async (directory: WorkspacePath): Promise<void> => {
    for (const { name } of await transport.listDirectory(directory, signal)) {
      const path = childPath(directory, name);
      const entry = await transport.stat(path, signal);
      if (entry === undefined) continue;
      found.push({ path, entry });
      if (entry.kind === "directory") await visit(path);
    }
  };
  await visit(top);
  return found;
}

async function removeTree(transport: Transport, top: WorkspacePath, signal: AbortSignal): Promise<void> {
  const found = await entriesBelow(transport, top, signal);
  for (const { path, entry } of found) if (entry.kind !== "directory") await transport.deleteFile(path, signal);
  try {
    for (const { path, entry } of found.toReversed()) {
      if (entry.kind === "directory") await transport.removeDirectory(path, signal);
    }
    await transport.removeDirectory(top, signal);
  } catch (error) {
    // Without a shell empty directories stay.
    if (!hasCode(error, "NOT_POSSIBLE_HERE")) throw error;
  }
}
