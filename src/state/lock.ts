import { randomUUID } from "node:crypto";
import { hostname } from "node:os";
import { setTimeout as wait } from "node:timers/promises";
import { hasCode, TransportError } from "../errors.ts";
import type { Transport } from "../transport/transport.ts";
import { digestOf } from "../tree/digest.ts";
import { printable } from "../tree/printable.ts";
import type { WorkspacePath } from "../tree/workspace-path.ts";
import { childPath, statePath } from "../tree/workspace-path.ts";

/** Where applicants leave their tickets below the root. */
export const LOCKS_PATH = statePath("locks");

/** How long a ticket counts without being renewed. */
export const TICKET_LIFE_MS = 60_000;

/** How long a ticket that cannot be read is taken for one that is being written. */
const HALF_WRITTEN_MS = 2000;

/** What a ticket says of its owner. Times are milliseconds since 1970 on the owner's clock. */
export type Ticket = {
  readonly owner: string;
  readonly host: string;
  readonly process: number;
  readonly startedAt: number;
  readonly expiresAt: number;
};

export type HeldLock = { release(): Promise<void> };

/**
 * Takes the workspace's lock with file calls alone, so that it works in every kind of session: an applicant writes its
 * own ticket and then lists all of them. Of two applicants at least the later one sees the other, so never two hold it;
 * whoever is not alone takes its ticket back and waits. Tickets of dead owners are removed (S22).
 * @throws {TransportError} `LOCKED`, naming the holder, when `timeoutMs` is over.
 */
export async function acquireLock(
  transport: Transport,
  request: { readonly owner: string; readonly timeoutMs: number },
  signal: AbortSignal,
): Promise<HeldLock> {
  const name = `${randomUUID()}.json`;
  const path = childPath(LOCKS_PATH, name);
  const startedAt = Date.now();
  const write = () => writeTicket(transport, path, ticketOf(request.owner, startedAt), AbortSignal.timeout(30_000));
  await transport.createDirectory(LOCKS_PATH, undefined, signal);
  /** Whatever goes wrong on the way to the lock must not leave a ticket that nobody renews or removes. */
  const seekHolder = async () => {
    try {
      await write();
      return await otherTicket(transport, name, signal, unreadableSince);
    } catch (error) {
      await transport.deleteFile(path, AbortSignal.timeout(30_000)).catch(() => undefined);
      throw error;
    }
  };
  const unreadableSince = new Map<WorkspacePath, number>();
  for (let round = 0; ; round += 1) {
    const holder = await seekHolder();
    if (holder === undefined) break;
    await transport.deleteFile(path, AbortSignal.timeout(30_000));
    if (Date.now() - startedAt >= request.timeoutMs) throw lockedBy(holder);
    await wait(Math.random() * Math.min(1000, 50 * 2 ** round) + 20, undefined, { signal });
  }
  const renewal = setInterval(() => void write().catch(() => undefined), TICKET_LIFE_MS / 3);
  renewal.unref();
  return {
    async release() {
      clearInterval(renewal);
      await transport.deleteFile(path, AbortSignal.timeout(30_000));
    },
  };
}

/** Takes every ticket away, whoever owns it. Returns what they said. */
export async function breakLock(transport: Transport, signal: AbortSignal): Promise<readonly Ticket[]> {
  const broken: Ticket[] = [];
  for (const path of await ticketPaths(transport, signal)) {
    const ticket = await readTicket(transport, path, signal);
    await transport.deleteFile(path, signal);
    if (ticket !== undefined) broken.push(ticket);
  }
  return broken;
}

/** Takes the tickets of dead owners away. */
export async function breakDeadLocks(transport: Transport, signal: AbortSignal): Promise<void> {
  await otherTicket(transport, "", signal);
}

/** The error of whoever could not get the lock. */
export function lockedBy(ticket: Ticket): TransportError {
  const since = new Date(ticket.startedAt).toISOString();
  return new TransportError("LOCKED", `another apply holds the workspace: ${printable(ticket.owner)}, since ${since}`, {
    hint: "wait for it (--lock-timeout 60s), or if it is dead: agb-sync unlock",
  });
}

/** A fresh ticket of this process. */
export function ticketOf(owner: string, startedAt: number): Ticket {
  return { owner, host: hostname(), process: process.pid, startedAt, expiresAt: Date.now() + TICKET_LIFE_MS };
}

/** Reads a ticket's text; undefined when it is damaged. */
export function parseTicket(text: string): Ticket | undefined {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== "object" || value === null) return undefined;
    const { owner, host, process: processId, startedAt, expiresAt }: Record<string, unknown> = { ...value };
    const isWhole = typeof owner === "string" && typeof host === "string" && typeof processId === "number";
    if (!isWhole || typeof startedAt !== "number" || typeof expiresAt !== "number") return undefined;
    return { owner, host, process: processId, startedAt, expiresAt };
  } catch {
    return undefined;
  }
}

/** Whether the owner can no longer be at work: its time is over, or its process on this machine is gone. */
export function isDead(ticket: Ticket, nowMs: number): boolean {
  if (ticket.expiresAt < nowMs) return true;
  return ticket.host === hostname() && !isRunning(ticket.process);
}

async function otherTicket(
  transport: Transport,
  own: string,
  signal: AbortSignal,
  unreadableSince = new Map<WorkspacePath, number>(),
): Promise<Ticket | undefined> {
  for (const path of await ticketPaths(transport, signal)) {
    if (path === childPath(LOCKS_PATH, own)) continue;
    const ticket = await readTicket(transport, path, signal);
    if (ticket === undefined) continue;
    // Whoever writes a ticket is done in a moment: one that stays half written was left by a crash.
    const sinceMs = ticket.host === "" ? (unreadableSince.get(path) ?? Date.now()) : Date.now();
    unreadableSince.set(path, sinceMs);
    if (!isDead(ticket, Date.now()) && Date.now() - sinceMs < HALF_WRITTEN_MS) return ticket;
    await transport.deleteFile(path, signal);
  }
  return undefined;
}

async function ticketPaths(transport: Transport, signal: AbortSignal): Promise<readonly WorkspacePath[]> {
  try {
    const children = await transport.listDirectory(LOCKS_PATH, signal);
    return children.filter(({ name }) => name.endsWith(".json")).map(({ name }) => childPath(LOCKS_PATH, name));
  } catch (error) {
    if (hasCode(error, "NOT_FOUND")) return [];
    throw error;
  }
}

/** A ticket that vanished meanwhile is nobody's; one that is half written belongs to somebody who just came. */
async function readTicket(transport: Transport, path: WorkspacePath, signal: AbortSignal): Promise<Ticket | undefined> {
  const chunks: Uint8Array[] = [];
  try {
    for await (const chunk of transport.readFile(path, signal)) chunks.push(chunk);
  } catch (error) {
    if (hasCode(error, "NOT_FOUND")) return undefined;
    throw error;
  }
  const unreadable: Ticket = {
    owner: "somebody",
    host: "",
    process: 0,
    startedAt: Date.now(),
    expiresAt: Date.now() + TICKET_LIFE_MS,
  };
  return parseTicket(Buffer.concat(chunks).toString("utf8")) ?? unreadable;
}

async function writeTicket(
  transport: Transport,
  path: WorkspacePath,
  ticket: Ticket,
  signal: AbortSignal,
): Promise<void> {
  const bytes = Buffer.from(JSON.stringify(ticket));
  const content = {
    digest: digestOf(bytes),
    sizeBytes: bytes.byteLength,
    sensitive: false,
    async *open() {
      yield bytes;
    },
  };
  await transport.writeFile(path, content, 0o600, signal);
}

function isRunning(processId: number): boolean {
  try {
    process.kill(processId, 0);
    return true;
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
}
