import { randomUUID } from "node:crypto";
import { readlinkSync } from "node:fs";
import { hostname } from "node:os";
import { setTimeout as wait } from "node:timers/promises";
import { hasCode, hasErrno, TransportError } from "../errors.ts";
import type { Transport } from "../transport/transport.ts";
import { printable } from "../tree/printable.ts";
import type { WorkspacePath } from "../tree/workspace-path.ts";
import { childPath, statePath } from "../tree/workspace-path.ts";
import { inspectState, listState, makeStateDirectory, setAside, writeState } from "./state-file.ts";

/** Where applicants leave their tickets below the root. */
export const LOCKS_PATH = statePath("locks");

/** How long a ticket counts, and how often a living owner renews it. */
export const TICKET_LIFE_MS = 60_000;
const RENEWAL_MS = 5000;
/** No ticket is longer. */
export const TICKET_BYTES = 64 * 1024;
/** How long writing or removing one may take. */
const TICKET_CALL_MS = 30_000;

/** How long a ticket that cannot be read is taken for one that is being written. */
const HALF_WRITTEN_MS = 2000;
/**
 * How long a ticket whose time is over must stand unchanged before it counts as dead: clocks differ, but a living owner
 * renews its ticket meanwhile.
 */
const UNRENEWED_MS = RENEWAL_MS + 2000;

/**
 * What a ticket says of its owner. Times are milliseconds since 1970 on the owner's clock. `host` names the machine and
 * the space that process numbers count in; "" for work in the session itself, of which only the time is known.
 */
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
  const ticket = new OwnTicket(transport, request.owner);
  await makeStateDirectory(transport, LOCKS_PATH, signal);
  const others = new OtherTickets(transport, ticket.path);
  /** Whatever goes wrong on the way to the lock must not leave a ticket that nobody renews or removes. */
  const seekHolder = async () => {
    try {
      await ticket.write();
      return await others.holder(signal);
    } catch (error) {
      await ticket.takeBack().catch(() => undefined);
      throw error;
    }
  };
  for (let round = 0; ; round += 1) {
    const holder = await seekHolder();
    if (holder === undefined) break;
    await ticket.takeBack();
    if (Date.now() - ticket.startedAt >= request.timeoutMs) throw lockedBy(holder);
    await wait(pauseMs(round), undefined, { signal });
  }
  const renewal = setInterval(() => ticket.renew(), RENEWAL_MS);
  renewal.unref();
  return {
    async release() {
      clearInterval(renewal);
      await ticket.takeBack();
    },
  };
}

/** Tickets of this process that were given up, but may still stand in a session that could not be reached then. */
const givenUp = new Set<WorkspacePath>();

/** What one applicant says of itself in the session. */
class OwnTicket {
  readonly path = childPath(LOCKS_PATH, `${randomUUID()}.json`);
  readonly startedAt = Date.now();
  readonly #transport: Transport;
  readonly #owner: string;
  #writing: Promise<void> | undefined;

  constructor(transport: Transport, owner: string) {
    this.#transport = transport;
    this.#owner = owner;
  }

  /** Says that its owner lives, from now for as long as a ticket counts. */
  async write(): Promise<void> {
    givenUp.delete(this.path);
    const { path, startedAt } = this;
    const expiresAt = Date.now() + TICKET_LIFE_MS;
    const ticket: Ticket = { owner: this.#owner, host: thisHost(), process: process.pid, startedAt, expiresAt };
    const text = JSON.stringify(ticket);
    this.#writing = writeState(this.#transport, path, text, AbortSignal.timeout(TICKET_CALL_MS)).finally(() => {
      this.#writing = undefined;
    });
    await this.#writing;
  }

  /** Writes it again, unless that is still under way. */
  renew(): void {
    if (this.#writing === undefined) void this.write().catch(() => undefined);
  }

  /** Until it is known to be away this process takes it for dead. */
  async takeBack(): Promise<void> {
    givenUp.add(this.path);
    // A renewal that arrived later would bring it back.
    await this.#writing?.catch(() => undefined);
    await this.#transport.deleteFile(this.path, AbortSignal.timeout(TICKET_CALL_MS));
    givenUp.delete(this.path);
  }
}

/**
 * Waits until nobody holds the lock, without taking it. Gives how much of `timeoutMs` is left.
 * @throws {TransportError} `LOCKED`, naming the holder, when it is over.
 */
export async function waitUntilFree(transport: Transport, timeoutMs: number, signal: AbortSignal): Promise<number> {
  const startedAt = Date.now();
  const others = new OtherTickets(transport);
  for (let round = 0; ; round += 1) {
    const holder = await others.holder(signal);
    const leftMs = timeoutMs - (Date.now() - startedAt);
    if (holder === undefined) return Math.max(0, leftMs);
    if (leftMs <= 0) throw lockedBy(holder);
    await wait(pauseMs(round), undefined, { signal });
  }
}

/** With jitter, so that two that wait do not meet again and again. */
function pauseMs(round: number): number {
  return Math.random() * Math.min(1000, 50 * 2 ** round) + 20;
}

/** Takes every ticket away, whoever owns it. Returns what they said. */
export async function breakLock(transport: Transport, signal: AbortSignal): Promise<readonly Ticket[]> {
  const broken: Ticket[] = [];
  for (const path of await ticketPaths(transport, signal)) {
    const { text, odd } = await inspectState(transport, path, signal, TICKET_BYTES);
    if (odd === undefined) await transport.deleteFile(path, signal);
    else await moveAside(transport, path, signal);
    if (text !== undefined || odd !== undefined) broken.push(parseTicket(text ?? "") ?? somebody);
  }
  return broken;
}

/** The error of whoever could not get the lock. */
function lockedBy(ticket: Ticket): TransportError {
  const since = new Date(ticket.startedAt).toISOString();
  return new TransportError("LOCKED", `another apply holds the workspace: ${printable(ticket.owner)}, since ${since}`, {
    hint: "wait for it (--lock-timeout 90s), or if it is dead: agb-sync unlock",
  });
}

/** A ticket for work that the session itself goes on with, up to the number that says how long it counts. */
export function ticketStart(owner: string, startedAt: number): string {
  return `${JSON.stringify({ owner, host: "", process: 0, startedAt }).slice(0, -1)},"expiresAt":`;
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

/** The tickets of others, as one applicant sees them over time. */
class OtherTickets {
  readonly #transport: Transport;
  readonly #own: WorkspacePath | undefined;
  /** Each ticket's text, and since when it has been that. */
  readonly #seen = new Map<WorkspacePath, { readonly text: string; readonly sinceMs: number }>();

  constructor(transport: Transport, own?: WorkspacePath) {
    this.#transport = transport;
    this.#own = own;
  }

  /** A living owner's ticket; those of dead ones are removed. */
  async holder(signal: AbortSignal): Promise<Ticket | undefined> {
    for (const path of await ticketPaths(this.#transport, signal)) {
      if (path === this.#own) continue;
      const { text, odd } = await inspectState(this.#transport, path, signal, TICKET_BYTES);
      // No ticket is a directory, a link or megabytes long: that is nobody's.
      if (odd !== undefined) await moveAside(this.#transport, path, signal);
      if (text === undefined) continue;
      const before = this.#seen.get(path);
      const nowMs = performance.now();
      const sinceMs = before?.text === text ? before.sinceMs : nowMs;
      this.#seen.set(path, { text, sinceMs });
      const ticket = parseTicket(text);
      if (!givenUp.has(path) && !isDead(ticket, nowMs - sinceMs)) return ticket ?? somebody;
      await this.#transport.deleteFile(path, signal);
    }
    return undefined;
  }
}

/** Whoever writes a ticket right now. */
const somebody: Ticket = { owner: "somebody", host: "", process: 0, startedAt: Date.now(), expiresAt: Date.now() };

/** Whether the owner can no longer be at work: its process is gone, or its time is over and it did not renew. */
function isDead(ticket: Ticket | undefined, unchangedMs: number): boolean {
  if (ticket === undefined) return unchangedMs >= HALF_WRITTEN_MS;
  if (ticket.host === thisHost() && !isRunning(ticket.process)) return true;
  // By the owner's clock, which may be days ahead, its time is never over: by ours it is, once it did not renew for so long.
  if (unchangedMs >= TICKET_LIFE_MS) return true;
  return ticket.expiresAt < Date.now() && unchangedMs >= UNRENEWED_MS;
}

/**
 * Whether the owner of a ticket that nobody waits for is gone: its process, or, elsewhere, whoever should have renewed
 * it. What it says of its time is not asked: that clock may be another.
 */
export function hasDied(ticket: Ticket, isUnrenewed: boolean): boolean {
  return ticket.host === thisHost() ? !isRunning(ticket.process) : isUnrenewed;
}

/** Two containers may have one name and the same process numbers: the space that these count in tells them apart. */
function thisHost(): string {
  try {
    return `${hostname()} ${readlinkSync("/proc/self/ns/pid")}`;
  } catch {
    return hostname();
  }
}

async function ticketPaths(transport: Transport, signal: AbortSignal): Promise<readonly WorkspacePath[]> {
  const children = await listState(transport, LOCKS_PATH, signal);
  return children.filter(({ name }) => name.endsWith(".json")).map(({ name }) => childPath(LOCKS_PATH, name));
}

/** Takes something that is no ticket out of the way. Somebody else may have done so meanwhile. */
async function moveAside(transport: Transport, path: WorkspacePath, signal: AbortSignal): Promise<void> {
  try {
    const there = await transport.stat(path, signal);
    if (there !== undefined) await setAside(transport, path, signal);
  } catch (error) {
    if (!hasCode(error, "NOT_FOUND")) throw error;
  }
}

function isRunning(processId: number): boolean {
  try {
    process.kill(processId, 0);
    return true;
  } catch (error) {
    return hasErrno(error, "EPERM");
  }
}
