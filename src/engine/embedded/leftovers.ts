import { randomUUID } from "node:crypto";
import { closeSync, fstatSync, openSync, readdirSync, unlinkSync } from "node:fs";
import { hasCode } from "../../errors.ts";
import { hasDied, LOCKS_PATH, parseTicket, TICKET_BYTES, TICKET_LIFE_MS } from "../../state/lock.ts";
import type { EmbeddedTransport } from "../../transport/embedded/embedded-transport.ts";
import type { WorkspacePath } from "../../tree/workspace-path.ts";
import { childPath, ROOT, statePath } from "../../tree/workspace-path.ts";
import type { OpenRoot } from "./commit-fresh.ts";
import { placeOf, siblingPath } from "./commit-fresh.ts";

const uuid = /[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/;
/** What a file of the state is called before it is complete. */
const halfWritten = new RegExp(`^(?:\\.${uuid.source}\\.agb-sync-new|(?:base|journal)\\.\\d+\\.new)$`);

/**
 * Removes what killed applies left beside the lock: roots that never went live and half-written state; nothing of an
 * apply that may still be at work, and nothing that is merely called alike.
 */
export async function removeLeftovers(
  transport: EmbeddedTransport,
  open: OpenRoot,
  signal: AbortSignal,
): Promise<void> {
  signal.throwIfAborted();
  await removeUnfinishedRoots(transport.root, open);
  for (const directory of [statePath(), LOCKS_PATH]) {
    for (const name of namesIn(transport, directory)) {
      const path = childPath(directory, name);
      if (halfWritten.test(name) && isOld(transport, path, statePath())) await removeIfPossible(transport, path);
    }
  }
}

async function removeUnfinishedRoots(root: string, open: OpenRoot): Promise<void> {
  const { above, own } = placeOf(root);
  const beside = open(above);
  for (const name of namesIn(beside, ROOT)) {
    const [applyId = ""] = uuid.exec(name) ?? [];
    if (name !== siblingPath(own, applyId)) continue;
    const path = childPath(ROOT, name);
    if (isAbandoned(beside, path)) await removeIfPossible(beside, path);
  }
}

/** Whoever builds a root holds its lock; one that died before it had the lock left nothing newer than that. */
function isAbandoned(beside: EmbeddedTransport, sibling: WorkspacePath): boolean {
  const locks = childPath(sibling, LOCKS_PATH);
  try {
    if (beside.lookAt(sibling)?.isDirectory() !== true) return false;
    const tickets = namesIn(beside, locks).flatMap((name) => {
      const path = childPath(locks, name);
      const ticket = parseTicket(beside.readText(path, TICKET_BYTES) ?? "");
      return ticket === undefined ? [] : [{ ticket, path }];
    });
    if (tickets.length > 0) return tickets.every(({ ticket, path }) => hasDied(ticket, isOld(beside, path, ROOT)));
    return isOld(beside, sibling, ROOT) && isOld(beside, locks, ROOT);
  } catch (error) {
    if (!hasCode(error, "OUTSIDE_ROOT", "PERMISSION_DENIED")) throw error;
    return false;
  }
}

/** What cannot be removed is in nobody's way and stays. */
export async function removeIfPossible(transport: EmbeddedTransport, path: WorkspacePath): Promise<void> {
  try {
    await transport.removeAll(path);
  } catch (error) {
    if (!hasCode(error, "PERMISSION_DENIED", "DIRECTORY_NOT_EMPTY", "OUTSIDE_ROOT", "NOT_FOUND")) throw error;
  }
}

/** What a directory holds; nothing when it is missing or no directory. */
function namesIn(transport: EmbeddedTransport, directory: WorkspacePath): readonly string[] {
  try {
    return transport.inside(directory, (at) => readdirSync(at(".")));
  } catch (error) {
    if (!hasCode(error, "NOT_FOUND", "NOT_A_DIRECTORY", "OUTSIDE_ROOT", "PERMISSION_DENIED")) throw error;
    return [];
  }
}

/** Untouched for longer than a lock counts without renewal, by the clock of the file system that `directory` is on. */
function isOld(transport: EmbeddedTransport, path: WorkspacePath, directory: WorkspacePath): boolean {
  const modifiedMs = transport.lookAt(path)?.mtimeMs ?? 0;
  return nowWhere(transport, directory) - modifiedMs > TICKET_LIFE_MS;
}

/** What time a file gets that is made there now: this process's clock may be days off. */
function nowWhere(transport: EmbeddedTransport, directory: WorkspacePath): number {
  try {
    return transport.inside(directory, (at) => {
      const own = at(`.${randomUUID()}.agb-sync-new`);
      const descriptor = openSync(own, "wx", 0o600);
      try {
        unlinkSync(own);
        return fstatSync(descriptor).mtimeMs;
      } finally {
        closeSync(descriptor);
      }
    });
  } catch {
    return Date.now();
  }
}
