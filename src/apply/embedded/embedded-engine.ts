import { spawn } from "node:child_process";
import { once } from "node:events";
import type { Dirent } from "node:fs";
import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, readlinkSync, renameSync, rmSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { readLocalFile } from "../../desired/local-file.ts";
import { messageOf, TransportError } from "../../errors.ts";
import type { Base } from "../../state/base.ts";
import { BASE_PATH, parseBase } from "../../state/base.ts";
import { EmbeddedTransport } from "../../transport/embedded/embedded-transport.ts";
import type { Entry } from "../../tree/entry.ts";
import { sameContent, sameMode } from "../../tree/entry.ts";
import type { WorkspacePath } from "../../tree/workspace-path.ts";
import { ancestorsOf, childPath, isStatePath, ROOT } from "../../tree/workspace-path.ts";
import type { CommitRequest, CommitResult, Engine, ScanRequest, ScanResult } from "../engine.ts";
import { commitBySteps } from "../steps-engine.ts";
import { buildFresh } from "./build-fresh.ts";
import { readIndex, writeIndex } from "./session-index.ts";

/** Steps under way at a time; they are synchronous in the end, so more would only cost memory. */
const CONCURRENCY = 32;

/** Scans and commits a session on this machine in one go: an index instead of reading, one flush instead of thousands. */
export class EmbeddedEngine implements Engine {
  readonly strategy = "batch";
  readonly #transport: EmbeddedTransport;

  constructor(transport: EmbeddedTransport) {
    this.#transport = transport;
  }

  async scan(request: ScanRequest, signal: AbortSignal): Promise<ScanResult> {
    signal.throwIfAborted();
    const { rootDirectory } = this.#transport;
    const warnings: string[] = [];
    const { base, fault } = this.#readBase();
    if (fault !== undefined) warnings.push(`the stored base ${fault} and is not used`);
    const top = lstatSync(rootDirectory, { throwIfNoEntry: false });
    if (top === undefined) return { kind: "tree", rootExists: false, actual: new Map(), base: undefined, warnings };
    if (!top.isDirectory())
      throw new TransportError("NOT_A_DIRECTORY", `the root ${this.#transport.root} is not a directory`);
    const actual = new Map<WorkspacePath, Entry>();
    const held = new Set<WorkspacePath>();
    const index = request.checksum ? undefined : readIndex(rootDirectory);
    const visit = (directory: WorkspacePath, localDirectory: string): void => {
      for (const child of listOrExplain(localDirectory)) {
        const path = childPath(directory, child.name);
        if (isStatePath(path)) continue;
        if (request.isIgnored(path, child.isDirectory())) {
          for (const ancestor of ancestorsOf(path)) held.add(ancestor);
          continue;
        }
        const localPath = join(localDirectory, child.name);
        const entry = this.#look(path, localPath, request, base, index);
        if (entry === undefined) continue;
        actual.set(path, entry);
        if (entry.kind === "directory") visit(path, localPath);
      }
    };
    visit(ROOT, rootDirectory);
    if (base !== undefined && isUnchanged(request, base, actual)) return { kind: "unchanged", base: undefined };
    return { kind: "tree", rootExists: true, actual, base, held, warnings };
  }

  async commit(request: CommitRequest, signal: AbortSignal): Promise<CommitResult> {
    const result = request.rootExists
      ? await this.#commitIn(this.#quick(), request, signal)
      : await this.#commitFresh(request, signal);
    const { base } = this.#readBase();
    if (base !== undefined) writeIndex(this.#transport.rootDirectory, base);
    return result;
  }

  async #commitIn(transport: EmbeddedTransport, request: CommitRequest, signal: AbortSignal): Promise<CommitResult> {
    const result = await commitBySteps(transport, request, CONCURRENCY, signal);
    await flush(transport.rootDirectory);
    return result;
  }

  /** A root that is not there yet is built beside its place and goes live by one rename (S4). */
  async #commitFresh(request: CommitRequest, signal: AbortSignal): Promise<CommitResult> {
    const { root, rootDirectory, directory } = this.#transport;
    mkdirSync(dirname(rootDirectory), { recursive: true });
    const sibling = `${dirname(root)}/.${basename(root)}.agb-sync-${request.applyId}`;
    const building = new EmbeddedTransport({ directory, root: sibling, syncsEachFile: false });
    try {
      const result = await buildFresh(building, request, this.#transport, signal);
      await flush(building.rootDirectory);
      if (existsSync(rootDirectory)) throw appeared(root);
      renameSync(building.rootDirectory, rootDirectory);
      return result;
    } catch (error) {
      if (error instanceof Error && "code" in error && error.code === "ENOTEMPTY") throw appeared(root);
      throw error;
    } finally {
      rmSync(building.rootDirectory, { recursive: true, force: true });
    }
  }

  #quick(): EmbeddedTransport {
    const { directory, root } = this.#transport;
    return new EmbeddedTransport({ directory, root, syncsEachFile: false });
  }

  #look(
    path: WorkspacePath,
    localPath: string,
    request: ScanRequest,
    base: Base | undefined,
    index: ReturnType<typeof readIndex> | undefined,
  ): Entry | undefined {
    const stats = lstatSync(localPath, { bigint: true, throwIfNoEntry: false });
    if (stats === undefined) return undefined;
    const mode = Number(stats.mode) & 0o7777;
    if (stats.isDirectory()) return { kind: "directory", mode };
    if (stats.isSymbolicLink()) return { kind: "link", target: readlinkSync(localPath) };
    if (!stats.isFile()) return { kind: "special" };
    const sizeBytes = Number(stats.size);
    const seen: Entry = { kind: "file", mode, sizeBytes };
    const isOurs = base?.entries.has(path) ?? false;
    if (!isOurs && request.wanted.get(path) !== sizeBytes) return seen;
    try {
      const digest = index?.find(path, stats) ?? readLocalFile(localPath, 0).digest;
      return { ...seen, digest };
    } catch (error) {
      if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
      return seen;
    }
  }

  #readBase(): { readonly base: Base | undefined; readonly fault: string | undefined } {
    const file = join(this.#transport.rootDirectory, BASE_PATH);
    if (!existsSync(file)) return { base: undefined, fault: undefined };
    const parsed = parseBase(readFileSync(file, "utf8"), this.#transport.sessionId, this.#transport.root);
    return "fault" in parsed ? { base: undefined, fault: parsed.fault } : { base: parsed, fault: undefined };
  }
}

function isUnchanged(request: ScanRequest, base: Base, actual: ReadonlyMap<WorkspacePath, Entry>): boolean {
  if (request.expected === undefined || base.desiredDigest !== request.expected) return false;
  if (request.needsUnmanaged && actual.size !== base.entries.size) return false;
  for (const [path, { entry }] of base.entries) {
    const found = actual.get(path);
    if (found === undefined || !sameContent(entry, found) || !sameMode(entry, found)) return false;
  }
  return true;
}

/** A directory that cannot be listed must not look empty (S11). */
function listOrExplain(localDirectory: string): readonly Dirent[] {
  try {
    return readdirSync(localDirectory, { withFileTypes: true });
  } catch (cause) {
    throw new TransportError("PERMISSION_DENIED", `${localDirectory} cannot be listed: ${messageOf(cause)}`, { cause });
  }
}

/** Makes everything on the file system of `directory` durable, once for all files; where that cannot be asked for, not. */
async function flush(directory: string): Promise<void> {
  const child = spawn("sync", ["-f", directory], { stdio: "ignore" });
  await once(child, "close").catch(() => undefined);
}

function appeared(root: string): TransportError {
  return new TransportError("STALE_PLAN", `${root} appeared while it was being built`, { hint: "plan again" });
}
