import { randomUUID } from "node:crypto";
import type { Stats } from "node:fs";
import {
  closeSync,
  constants,
  createReadStream,
  fchmodSync,
  fstatSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmdirSync,
  symlinkSync,
  unlinkSync,
  writeSync,
} from "node:fs";
import { join, resolve } from "node:path";
import { hasCode, hasErrno, TransportError } from "../../errors.ts";
import type { Content } from "../../tree/content.ts";
import type { Digest } from "../../tree/digest.ts";
import type { Entry, Mode } from "../../tree/entry.ts";
import type { WorkspacePath } from "../../tree/workspace-path.ts";
import { baseName, isStatePath, parentPath } from "../../tree/workspace-path.ts";
import type { Child, Counters, Features, MoveOptions, ShellRequest, ShellResult, Transport } from "../transport.ts";
import { changeMode } from "./change-mode.ts";
import { foldsNames } from "./folds-names.ts";
import { hashFiles } from "./hash-files.ts";
import type { Reading } from "./read-session-file.ts";
import { openUnfollowed } from "./read-session-file.ts";
import { removeTree } from "./remove-tree.ts";
import { keepAside, renameToFreeName, renameWithoutReplacing } from "./rename-without-replacing.ts";
import { runShell } from "./run-shell.ts";
import { inDirectory } from "./safe-directory.ts";
import { keepSessionId, realDirectory, sessionIdOf } from "./session-identity.ts";
import { translate } from "./translate.ts";
import { Turns } from "./turns.ts";

export type EmbeddedOptions = {
  /** The local directory that stands for the session's file system; made with the first change. */
  readonly directory: string;
  readonly root: string;
  /** False leaves it to the caller to make what was written durable, once for many files. Default true. */
  readonly syncsEachFile?: boolean;
  /** Told of every file that was hashed. */
  readonly onRead?: (path: WorkspacePath, reading: Reading) => void;
};

/** A session on this machine: its paths live below one local directory. No key, no network. */
export class EmbeddedTransport implements Transport {
  readonly kind = "embedded";
  readonly sessionId: string;
  readonly root: string;
  readonly counters: Counters = { requests: 0, bytesSent: 0, bytesReceived: 0, retries: 0 };
  readonly directory: string;
  /** All work in the session's files gives way by this. */
  readonly turns = new Turns();
  readonly #options: EmbeddedOptions;
  /** The root below `directory`, normal and without slashes around it. */
  readonly #innerRoot: string;
  #hasBegun = false;

  constructor(options: EmbeddedOptions) {
    this.#options = options;
    this.directory = realDirectory(resolve(options.directory));
    this.root = options.root;
    this.#innerRoot = options.root.split("/").filter(Boolean).join("/");
    this.sessionId = sessionIdOf(this.directory);
  }

  /** The local directory behind the root; it need not exist. For messages and for programs, not for opening files. */
  get rootDirectory(): string {
    return join(this.directory, this.root);
  }

  /** Runs `work` with one directory held open; `at(name)` is a local path that stays in it (S25). */
  inside<Result>(path: WorkspacePath, work: (at: (name: string) => string) => Result): Result {
    try {
      return inDirectory(this.directory, this.#inner(path), { create: false }, work);
    } catch (error) {
      throw translate(error, path);
    }
  }

  async features(): Promise<Features> {
    return {
      modes: true,
      links: true,
      binary: true,
      removeDirectory: true,
      anyName: true,
      shell: true,
      foldsNames: foldsNames(this.directory),
    };
  }

  async listDirectory(path: WorkspacePath, signal: AbortSignal): Promise<readonly Child[]> {
    return await this.#call(signal, path, () =>
      this.inside(path, (at) =>
        readdirSync(at("."), { withFileTypes: true }).map((child) => ({ name: child.name, kind: kindOf(child) })),
      ),
    );
  }

  async stat(path: WorkspacePath, signal: AbortSignal): Promise<Entry | undefined> {
    try {
      return await this.#call(signal, path, () => this.#inParent(path, (own) => entryOf(lstatSync(own), own)));
    } catch (error) {
      if (hasCode(error, "NOT_FOUND", "NOT_A_DIRECTORY")) return undefined;
      throw error;
    }
  }

  async *readFile(path: WorkspacePath, signal: AbortSignal): AsyncIterable<Uint8Array> {
    const descriptor = await this.#call(signal, path, () =>
      this.#inParent(path, (own) => {
        const kind = kindOf(lstatSync(own));
        if (kind === "directory") throw new TransportError("IS_A_DIRECTORY", `${path} is a directory`);
        if (kind === "special") throw new TransportError("TOOL_FAILED", `${path} is a socket, FIFO or device`);
        return openSync(own, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
      }),
    );
    for await (const chunk of createReadStream("", { fd: descriptor, highWaterMark: 1024 * 1024, signal })) {
      const bytes: Uint8Array = chunk;
      this.counters.bytesReceived += bytes.byteLength;
      yield bytes;
    }
  }

  async digestFiles(paths: readonly WorkspacePath[], signal: AbortSignal): Promise<ReadonlyMap<WorkspacePath, Digest>> {
    const digests = new Map<WorkspacePath, Digest>();
    this.counters.requests += 1;
    const onRead = (path: WorkspacePath, reading: Reading) => {
      this.#options.onRead?.(path, reading);
      digests.set(path, reading.digest);
    };
    await hashFiles(this, paths, onRead, signal);
    return digests;
  }

  /** The stats of what is at `path` itself; undefined when nothing is. @throws {TransportError} `OUTSIDE_ROOT`. */
  lookAt(path: WorkspacePath): Stats | undefined {
    try {
      return this.#inParent(path, (own) => lstatSync(own, { throwIfNoEntry: false }));
    } catch (error) {
      if (hasCode(error, "NOT_FOUND", "NOT_A_DIRECTORY")) return undefined;
      throw error;
    }
  }

  /**
   * A whole file as text, in one go; undefined when it is not there. Meant for the state: what is no regular file of at
   * most `largestBytes` is not read, and `odd` says what it is.
   * @throws {TransportError} `OUTSIDE_ROOT` when a link is in the way.
   */
  inspectText(path: WorkspacePath, largestBytes: number): { readonly text?: string; readonly odd?: string } {
    try {
      return this.inside(parentPath(path), (at) => {
        const descriptor = openUnfollowed(at(baseName(path)));
        if (descriptor === undefined) return { odd: "is a link or socket" };
        try {
          const stats = fstatSync(descriptor);
          if (stats.isDirectory()) return { odd: "is a directory" };
          if (!stats.isFile()) return { odd: "is a FIFO, socket or device" };
          if (stats.size > largestBytes) return { odd: `is too large (${stats.size} bytes)` };
          return { text: readFileSync(descriptor, "utf8") };
        } finally {
          closeSync(descriptor);
        }
      });
    } catch (error) {
      if (hasCode(error, "NOT_FOUND", "NOT_A_DIRECTORY")) return {};
      throw error;
    }
  }

  /** The same, with what is odd treated as absent. */
  readText(path: WorkspacePath, largestBytes = Number.POSITIVE_INFINITY): string | undefined {
    return this.inspectText(path, largestBytes).text;
  }

  async writeFile(path: WorkspacePath, content: Content, mode: Mode, signal: AbortSignal): Promise<void> {
    const temporary = `.${randomUUID()}.agb-sync-new`;
    const parent = parentPath(path);
    const descriptor = await this.#create(signal, path, () =>
      this.inside(parent, (at) => openSync(at(temporary), "wx", 0o600)),
    );
    try {
      for await (const chunk of content.open()) {
        signal.throwIfAborted();
        for (let written = 0; written < chunk.byteLength; ) written += writeSync(descriptor, chunk, written);
        this.counters.bytesSent += chunk.byteLength;
      }
      fchmodSync(descriptor, mode);
      if (this.#options.syncsEachFile !== false) fsyncSync(descriptor);
      await this.#call(signal, path, () => this.inside(parent, (at) => renameSync(at(temporary), at(baseName(path)))));
    } catch (error) {
      this.inside(parent, (at) => unlinkIfThere(at(temporary)));
      throw translate(error, path);
    } finally {
      closeSync(descriptor);
    }
  }

  async createDirectory(path: WorkspacePath, mode: Mode | undefined, signal: AbortSignal): Promise<void> {
    await this.#create(signal, path, () => {
      const inner = this.#inner(path);
      const slash = inner.lastIndexOf("/");
      inDirectory(this.directory, inner.slice(0, Math.max(0, slash)), { create: true }, (at) => {
        const own = at(inner.slice(slash + 1));
        if (lstatSync(own, { throwIfNoEntry: false }) !== undefined) return;
        mkdirSync(own, mode ?? 0o755);
        if (mode !== undefined && (lstatSync(own).mode & 0o7777) !== mode) changeMode(own, mode);
      });
      this.inside(path, () => undefined);
    });
  }

  async move(from: WorkspacePath, to: WorkspacePath, options: MoveOptions, signal: AbortSignal): Promise<void> {
    const { replace, keepAt } = options;
    const rename = replace ? renameSync : isStatePath(to) ? renameToFreeName : renameWithoutReplacing;
    await this.#call(signal, from, () =>
      this.#inParent(from, (source) =>
        this.#inParent(to, (target) => {
          if (keepAt !== undefined) this.#inParent(keepAt, (kept) => keepAside(target, kept));
          rename(source, target);
        }),
      ),
    );
  }

  async deleteFile(path: WorkspacePath, signal: AbortSignal): Promise<void> {
    try {
      await this.#call(signal, path, () =>
        this.#inParent(path, (own) => {
          if (lstatSync(own).isDirectory()) throw new TransportError("IS_A_DIRECTORY", `${path} is a directory`);
          unlinkSync(own);
        }),
      );
    } catch (error) {
      if (!hasCode(error, "NOT_FOUND")) throw error;
    }
  }

  async removeDirectory(path: WorkspacePath, signal: AbortSignal): Promise<void> {
    try {
      await this.#call(signal, path, () => this.#inParent(path, (own) => rmdirSync(own)));
    } catch (error) {
      if (!hasCode(error, "NOT_FOUND")) throw error;
    }
  }

  /** Removes whatever is at `path` with everything in it, also when an abort came; missing is success. Safe to repeat. */
  async removeAll(path: WorkspacePath): Promise<void> {
    try {
      await removeTree(this.directory, this.#inner(parentPath(path)), baseName(path), this.turns);
    } catch (error) {
      throw translate(error, path);
    }
  }

  async setMode(path: WorkspacePath, mode: Mode, signal: AbortSignal): Promise<void> {
    await this.#call(signal, path, () => this.#inParent(path, (own) => changeMode(own, mode)));
  }

  async createLink(path: WorkspacePath, target: string, signal: AbortSignal): Promise<void> {
    await this.#create(signal, path, () => this.#inParent(path, (own) => symlinkSync(target, own)));
  }

  /** Commands see the session's directory as their working directory; `cwd` is an absolute session path. */
  readonly shell = async (request: ShellRequest, signal: AbortSignal): Promise<ShellResult> => {
    const cwd = request.cwd ?? this.root;
    try {
      return await this.#create(signal, cwd, () => runShell(request, join(this.directory, cwd), signal));
    } catch (error) {
      throw translate(error, cwd);
    }
  };

  async close(): Promise<void> {
    // Nothing is held open between calls.
  }

  #inner(path: WorkspacePath): string {
    if (path === "") return this.#innerRoot;
    return this.#innerRoot === "" ? path : `${this.#innerRoot}/${path}`;
  }

  #inParent<Result>(path: WorkspacePath, work: (own: string) => Result): Result {
    const inner = this.#inner(path);
    const slash = inner.lastIndexOf("/");
    return inDirectory(this.directory, inner.slice(0, Math.max(0, slash)), { create: false }, (at) =>
      work(at(inner === "" ? "." : inner.slice(slash + 1))),
    );
  }

  async #call<Result>(signal: AbortSignal, path: string, work: () => Result): Promise<Result> {
    const pause = this.turns.next();
    if (pause !== undefined) await pause;
    signal.throwIfAborted();
    this.counters.requests += 1;
    try {
      return work();
    } catch (error) {
      throw translate(error, path);
    }
  }

  /** A call that makes something: before the first one the session gets its directory and its id. */
  async #create<Result>(signal: AbortSignal, path: string, work: () => Result): Promise<Result> {
    return await this.#call(signal, path, () => {
      if (!this.#hasBegun) keepSessionId(this.directory, this.sessionId);
      this.#hasBegun = true;
      return work();
    });
  }
}

function kindOf(child: { isFile(): boolean; isDirectory(): boolean; isSymbolicLink(): boolean }): Entry["kind"] {
  if (child.isFile()) return "file";
  if (child.isDirectory()) return "directory";
  return child.isSymbolicLink() ? "link" : "special";
}

function entryOf(stats: Stats, path: string): Entry {
  const kind = kindOf(stats);
  const mode = stats.mode & 0o7777;
  switch (kind) {
    case "file":
      return { kind, mode, sizeBytes: stats.size };
    case "directory":
      return { kind, mode };
    case "link":
      return { kind, target: readlinkSync(path) };
    case "special":
      return { kind };
  }
}

function unlinkIfThere(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    if (!hasErrno(error, "ENOENT")) throw error;
  }
}
