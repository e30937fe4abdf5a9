import type { BigIntStats, Dirent } from "node:fs";
import { lstatSync, readdirSync, readlinkSync } from "node:fs";
import { hasCode, hasErrno, messageOf, TransportError } from "../../errors.ts";
import { storedBase } from "../../state/base-store.ts";
import { oursBy, parseJournal, recover } from "../../state/journal.ts";
import type { EmbeddedTransport } from "../../transport/embedded/embedded-transport.ts";
import { hashFiles } from "../../transport/embedded/hash-files.ts";
import type { Reading } from "../../transport/embedded/read-session-file.ts";
import { hashSmall } from "../../transport/embedded/read-session-file.ts";
import type { Base } from "../../tree/base.ts";
import type { Entry, FileEntry } from "../../tree/entry.ts";
import { sameContent, sameMode } from "../../tree/entry.ts";
import type { WorkspacePath } from "../../tree/workspace-path.ts";
import { ancestorsOf, childPath, isStatePath, ROOT } from "../../tree/workspace-path.ts";
import type { ScanRequest, ScanResult } from "../engine.ts";
import type { Listed } from "./find-listing.ts";
import type { SessionIndex } from "./session-index.ts";

/** Entries looked at through one opening of their directory. */
const ENTRIES_AT_A_TIME = 200;
/** Longest path of one call in bytes. A character takes at most three for each unit of a string. */
const PATH_MAX = 4096;

/** What a scan starts from, read before anything is listed: an apply that comes in between makes the plan stale. */
export type ScanStart = {
  readonly base: string | undefined;
  readonly journal: string | undefined;
  /** What is said of either. */
  readonly warnings: readonly string[];
  readonly index: SessionIndex;
  /** What there is, listed when the rest had been read; without it the session is walked. */
  readonly entries?: Iterable<readonly [WorkspacePath, Listed]> | undefined;
};

/** Lists the session's files; only those that the index does not know are read, and it learns of them. Reads only. */
export async function scanEmbedded(
  transport: EmbeddedTransport,
  request: ScanRequest,
  start: ScanStart,
  signal: AbortSignal,
): Promise<ScanResult> {
  signal.throwIfAborted();
  const { base, fault } = storedBase(start.base, transport);
  const warnings = [...start.warnings, ...(fault === undefined ? [] : [`the stored base ${fault} and is not used`])];
  const journal = parseJournal(start.journal, transport);
  const walk = new WorkspaceWalk(transport, request, oursBy(base, journal), start.index);
  const rootExists = await walk.run(start.entries, signal);
  if (!rootExists) return { kind: "tree", rootExists, actual: new Map(), base: undefined, recovered: [], warnings };
  const { actual, held } = walk;
  start.index.keepOnly(actual);
  const found = recover(base, journal, actual, transport);
  if (base !== undefined && found.recovered.length === 0 && isUnchanged(request, base, actual)) {
    return { kind: "unchanged", base: undefined };
  }
  return { kind: "tree", rootExists, actual, ...found, isBaseLost: fault !== undefined, held, warnings };
}

class WorkspaceWalk {
  readonly actual = new Map<WorkspacePath, Entry>();
  readonly held = new Set<WorkspacePath>();
  readonly #transport: EmbeddedTransport;
  readonly #rootDirectory: string;
  readonly #request: ScanRequest;
  readonly #isOurs: (path: WorkspacePath) => boolean;
  readonly #index: SessionIndex;
  readonly #directories: WorkspacePath[] = [ROOT];
  /** Files that take more than a moment to read, or that would not hold still. */
  readonly #slow: WorkspacePath[] = [];

  constructor(
    transport: EmbeddedTransport,
    request: ScanRequest,
    isOurs: (path: WorkspacePath) => boolean,
    index: SessionIndex,
  ) {
    this.#transport = transport;
    this.#rootDirectory = transport.rootDirectory;
    this.#request = request;
    this.#isOurs = isOurs;
    this.#index = index;
  }

  /** False when the root is not there. Without `entries` the session is walked. */
  async run(entries: Iterable<readonly [WorkspacePath, Listed]> | undefined, signal: AbortSignal): Promise<boolean> {
    const rootExists = entries === undefined ? await this.#walk(signal) : await this.#takeAll(entries, signal);
    const onRead = (path: WorkspacePath, reading: Reading) => {
      const seen = this.actual.get(path);
      if (seen?.kind === "file") this.actual.set(path, this.#learn(path, seen, reading));
    };
    await hashFiles(this.#transport, this.#slow, onRead, signal);
    return rootExists;
  }

  async #takeAll(entries: Iterable<readonly [WorkspacePath, Listed]>, signal: AbortSignal): Promise<true> {
    let count = 0;
    for (const [path, listed] of entries) {
      if (count++ % ENTRIES_AT_A_TIME === 0) await this.#transport.turns.next();
      signal.throwIfAborted();
      if (listed.kind === "ignored" || this.#request.isIgnored(path, listed.kind === "directory")) this.#leaveOut(path);
      else this.actual.set(path, listed.kind === "file" ? this.#fileOf(path, listed) : listed);
    }
    return true;
  }

  #fileOf(path: WorkspacePath, { mode, sizeBytes, key }: Extract<Listed, { kind: "file" }>): Entry {
    const seen: FileEntry = { kind: "file", mode, sizeBytes };
    if (!this.#isWanted(path, seen)) return seen;
    const known = this.#request.checksum ? undefined : this.#index.findByKey(path, key);
    if (known === undefined) this.#slow.push(path);
    return known === undefined ? seen : { ...seen, digest: known };
  }

  async #walk(signal: AbortSignal): Promise<boolean> {
    for (let path = this.#directories.pop(); path !== undefined; path = this.#directories.pop()) {
      try {
        await this.#visit(path, signal);
      } catch (error) {
        // Gone since its parent was listed.
        if (!hasCode(error, "NOT_FOUND")) throw error;
        if (path === ROOT) return false;
      }
    }
    return true;
  }

  async #visit(directory: WorkspacePath, signal: AbortSignal): Promise<void> {
    let children: readonly Dirent[] | undefined;
    let next = 0;
    do {
      await this.#transport.turns.next();
      signal.throwIfAborted();
      this.#transport.inside(directory, (at) => {
        children ??= listOrExplain(at("."), directory || this.#transport.root);
        const some = children.slice(next, next + ENTRIES_AT_A_TIME);
        for (const child of some) this.#take(child, childPath(directory, child.name), at);
        next += some.length;
      });
    } while (next < (children?.length ?? 0));
  }

  #take(child: Dirent, path: WorkspacePath, at: (name: string) => string): void {
    if (isStatePath(path)) return;
    if (this.#request.isIgnored(path, child.isDirectory())) {
      this.#leaveOut(path);
      return;
    }
    const entry = this.#look(path, at(child.name), this.#nameOf(path) ?? at(child.name));
    // A name that is no text is not found by what stands for it, and is there all the same.
    if (entry === undefined && child.name.includes("\ufffd")) this.#leaveOut(path);
    if (entry === undefined) return;
    this.actual.set(path, entry);
    if (entry.kind === "directory") this.#directories.push(path);
  }

  #leaveOut(path: WorkspacePath): void {
    for (const ancestor of ancestorsOf(path)) this.held.add(ancestor);
  }

  #isWanted(path: WorkspacePath, { sizeBytes }: FileEntry): boolean {
    return this.#isOurs(path) || this.#request.wanted.get(path) === sizeBytes;
  }

  /** A look by name is a quarter faster than one through the open directory, and opens nothing; too long names fail. */
  #nameOf(path: WorkspacePath): string | undefined {
    const name = `${this.#rootDirectory}/${path}`;
    return name.length * 3 < PATH_MAX ? name : undefined;
  }

  #look(path: WorkspacePath, own: string, name: string): Entry | undefined {
    const stats = lstatSync(name, { bigint: true, throwIfNoEntry: false });
    if (stats === undefined) return undefined;
    const mode = Number(stats.mode) & 0o7777;
    if (stats.isDirectory()) return { kind: "directory", mode };
    if (stats.isSymbolicLink()) return { kind: "link", target: readlinkSync(own) };
    if (!stats.isFile()) return { kind: "special" };
    const seen: FileEntry = { kind: "file", mode, sizeBytes: Number(stats.size) };
    if (!this.#isWanted(path, seen)) return seen;
    const known = this.#request.checksum ? undefined : this.#index.find(path, stats);
    return known === undefined ? this.#read(path, own, seen, stats) : { ...seen, digest: known };
  }

  #read(path: WorkspacePath, own: string, seen: FileEntry, stats: BigIntStats): Entry | undefined {
    try {
      const reading = hashSmall(own, stats);
      if (reading === undefined) this.#slow.push(path);
      return reading === undefined ? seen : this.#learn(path, seen, reading);
    } catch (error) {
      return hasErrno(error, "ENOENT") ? undefined : seen;
    }
  }

  #learn(path: WorkspacePath, seen: FileEntry, reading: Reading): Entry {
    this.#index.remember(path, reading);
    return { ...seen, sizeBytes: Number(reading.version.size), digest: reading.digest };
  }
}

/** Whether the session holds what the last apply left and that is what is wanted: then there is nothing to plan. */
function isUnchanged(request: ScanRequest, base: Base, actual: ReadonlyMap<WorkspacePath, Entry>): boolean {
  if (request.expected === undefined || base.desiredDigest !== request.expected) return false;
  // Wanted, applied, and yet not in base: seeded once and the session's since then. Only a missing one is made again.
  const seeds = [...request.wanted.keys()].filter((path) => !base.entries.has(path));
  if (seeds.some((path) => !actual.has(path))) return false;
  if (request.needsUnmanaged && actual.size !== base.entries.size + seeds.length) return false;
  for (const [path, { entry }] of base.entries) {
    const found = actual.get(path);
    if (found === undefined || !sameContent(entry, found) || !sameMode(entry, found)) return false;
  }
  return true;
}

/** A directory that cannot be listed must not look empty (S11). */
function listOrExplain(localDirectory: string, shown: string): readonly Dirent[] {
  try {
    return readdirSync(localDirectory, { withFileTypes: true });
  } catch (cause) {
    if (hasErrno(cause, "ENOENT")) throw cause;
    throw new TransportError("PERMISSION_DENIED", `${shown} cannot be listed: ${messageOf(cause)}`, { cause });
  }
}
