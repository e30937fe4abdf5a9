import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import type { Stats } from "node:fs";
import {
  chmodSync,
  closeSync,
  constants,
  createReadStream,
  existsSync,
  fchmodSync,
  fsyncSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  renameSync,
  rmdirSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { readLocalFile } from "../../desired/local-file.ts";
import { hasCode, TransportError } from "../../errors.ts";
import type { Content } from "../../tree/content.ts";
import type { Digest } from "../../tree/digest.ts";
import type { Entry, Mode } from "../../tree/entry.ts";
import type { WorkspacePath } from "../../tree/workspace-path.ts";
import { baseName, parentPath } from "../../tree/workspace-path.ts";
import type { Child, Counters, Features, MoveOptions, ShellRequest, ShellResult, Transport } from "../transport.ts";
import { foldsNames } from "./folds-names.ts";
import { inDirectory } from "./safe-directory.ts";

const SESSION_FILE = ".agb-sync-session";

/** A session on this machine: its paths live below one local directory. No key, no network. */
export class EmbeddedTransport implements Transport {
  readonly kind = "embedded";
  readonly sessionId: string;
  readonly root: string;
  readonly counters: Counters = { requests: 0, bytesSent: 0, bytesReceived: 0, retries: 0 };
  /** The local directory that stands for the session's file system. */
  readonly directory: string;

  readonly #syncsEachFile: boolean;

  /** `syncsEachFile` false leaves it to the caller to make what was written durable, once for many files. */
  constructor(options: { readonly directory: string; readonly root: string; readonly syncsEachFile?: boolean }) {
    this.#syncsEachFile = options.syncsEachFile ?? true;
    mkdirSync(options.directory, { recursive: true });
    this.directory = realpathSync(options.directory);
    this.root = options.root;
    this.sessionId = sessionIdOf(this.directory);
  }

  /** The local directory behind the root; it need not exist. */
  get rootDirectory(): string {
    return join(this.directory, this.root);
  }

  /** Runs `work` with one directory held open; `at(name)` is a local path that stays in it (S25). */
  inside(path: WorkspacePath, work: (at: (name: string) => string) => void): void {
    inDirectory(this.directory, this.#names(path), { create: false }, work);
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
    return this.#call(signal, path, () =>
      inDirectory(this.directory, this.#names(path), { create: false }, (at) =>
        readdirSync(at("."), { withFileTypes: true }).map((child) => ({ name: child.name, kind: kindOf(child) })),
      ),
    );
  }

  async stat(path: WorkspacePath, signal: AbortSignal): Promise<Entry | undefined> {
    try {
      return this.#call(signal, path, () => this.#inParent(path, (own) => entryOf(lstatSync(own), own)));
    } catch (error) {
      if (hasCode(error, "NOT_FOUND", "NOT_A_DIRECTORY")) return undefined;
      throw error;
    }
  }

  async *readFile(path: WorkspacePath, signal: AbortSignal): AsyncIterable<Uint8Array> {
    const descriptor = this.#call(signal, path, () =>
      this.#inParent(path, (own) => {
        if (lstatSync(own).isDirectory()) throw new TransportError("IS_A_DIRECTORY", `${path} is a directory`);
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
    for (const path of paths) {
      try {
        const digest = this.#call(signal, path, () =>
          this.#inParent(path, (own) => (lstatSync(own).isFile() ? readLocalFile(own, 0).digest : undefined)),
        );
        if (digest !== undefined) digests.set(path, digest);
      } catch (error) {
        if (!hasCode(error, "NOT_FOUND", "NOT_A_DIRECTORY", "PERMISSION_DENIED", "OUTSIDE_ROOT")) throw error;
      }
    }
    return digests;
  }

  async writeFile(path: WorkspacePath, content: Content, mode: Mode, signal: AbortSignal): Promise<void> {
    const temporary = `.${randomUUID()}.agb-sync-new`;
    const names = this.#names(parentPath(path));
    const descriptor = this.#call(signal, path, () =>
      inDirectory(this.directory, names, { create: false }, (at) => openSync(at(temporary), "wx", 0o600)),
    );
    try {
      for await (const chunk of content.open()) {
        signal.throwIfAborted();
        for (let written = 0; written < chunk.byteLength; ) written += writeSync(descriptor, chunk, written);
        this.counters.bytesSent += chunk.byteLength;
      }
      fchmodSync(descriptor, mode);
      if (this.#syncsEachFile) fsyncSync(descriptor);
      this.#call(signal, path, () =>
        inDirectory(this.directory, names, { create: false }, (at) => renameSync(at(temporary), at(baseName(path)))),
      );
    } catch (error) {
      inDirectory(this.directory, names, { create: false }, (at) => unlinkIfThere(at(temporary)));
      throw translate(error, path);
    } finally {
      closeSync(descriptor);
    }
  }

  async createDirectory(path: WorkspacePath, mode: Mode | undefined, signal: AbortSignal): Promise<void> {
    this.#call(signal, path, () => {
      const names = this.#names(path);
      const own = names.pop();
      inDirectory(this.directory, names, { create: true }, (at) => {
        if (own === undefined || existsSync(at(own))) return;
        mkdirSync(at(own), mode ?? 0o755);
        if (mode !== undefined) chmodSync(at(own), mode);
      });
      inDirectory(this.directory, this.#names(path), { create: false }, () => undefined);
    });
  }

  async move(from: WorkspacePath, to: WorkspacePath, options: MoveOptions, signal: AbortSignal): Promise<void> {
    const { replace, keepAt } = options;
    this.#call(signal, from, () =>
      this.#inParent(from, (source) =>
        this.#inParent(to, (target) => {
          if (keepAt !== undefined) this.#inParent(keepAt, (kept) => keepAside(target, kept));
          if (replace) renameSync(source, target);
          else renameWithoutReplacing(source, target);
        }),
      ),
    );
  }

  async deleteFile(path: WorkspacePath, signal: AbortSignal): Promise<void> {
    try {
      this.#call(signal, path, () =>
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
      this.#call(signal, path, () => this.#inParent(path, (own) => rmdirSync(own)));
    } catch (error) {
      if (!hasCode(error, "NOT_FOUND")) throw error;
    }
  }

  async setMode(path: WorkspacePath, mode: Mode, signal: AbortSignal): Promise<void> {
    this.#call(signal, path, () =>
      this.#inParent(path, (own) => {
        const descriptor = openSync(own, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
        try {
          fchmodSync(descriptor, mode);
        } finally {
          closeSync(descriptor);
        }
      }),
    );
  }

  async createLink(path: WorkspacePath, target: string, signal: AbortSignal): Promise<void> {
    this.#call(signal, path, () => this.#inParent(path, (own) => symlinkSync(target, own)));
  }

  /** Commands see the session's directory as their working directory; `cwd` is an absolute session path. */
  readonly shell = async (request: ShellRequest, signal: AbortSignal): Promise<ShellResult> => {
    signal.throwIfAborted();
    this.counters.requests += 1;
    const child = spawn("sh", ["-c", request.command], {
      cwd: join(this.directory, request.cwd ?? this.root),
      env: { ...process.env, ...request.env },
      detached: true,
      stdio: ["ignore", "pipe", "pipe"],
    });
    const end = () => killGroup(child.pid);
    const timer = setTimeout(end, request.timeoutMs);
    signal.addEventListener("abort", end, { once: true });
    const output = { stdout: "", stderr: "" };
    child.stdout.setEncoding("utf8").on("data", (text: string) => (output.stdout += text));
    child.stderr.setEncoding("utf8").on("data", (text: string) => (output.stderr += text));
    try {
      const exitCode = await new Promise<number | null>((resolve, reject) => {
        child.once("error", reject).once("close", resolve);
      });
      signal.throwIfAborted();
      if (exitCode === null)
        throw new TransportError("TIMEOUT", `the command did not end within ${request.timeoutMs} ms`);
      return { ...output, exitCode };
    } catch (error) {
      throw translate(error, request.cwd ?? this.root);
    } finally {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
    }
  };

  async close(): Promise<void> {
    // Nothing is held open between calls.
  }

  #names(path: WorkspacePath): string[] {
    return [...this.root.split("/"), ...path.split("/")].filter((name) => name !== "");
  }

  #inParent<Result>(path: WorkspacePath, work: (own: string) => Result): Result {
    const names = this.#names(path);
    const own = names.pop() ?? ".";
    return inDirectory(this.directory, names, { create: false }, (at) => work(at(own)));
  }

  #call<Result>(signal: AbortSignal, path: string, work: () => Result): Result {
    signal.throwIfAborted();
    this.counters.requests += 1;
    try {
      return work();
    } catch (error) {
      throw translate(error, path);
    }
  }
}

const codes: Readonly<Record<string, ConstructorParameters<typeof TransportError>[0]>> = {
  ENOENT: "NOT_FOUND",
  ENOTDIR: "NOT_A_DIRECTORY",
  EISDIR: "IS_A_DIRECTORY",
  EEXIST: "ALREADY_EXISTS",
  ENOTEMPTY: "DIRECTORY_NOT_EMPTY",
  EACCES: "PERMISSION_DENIED",
  EPERM: "PERMISSION_DENIED",
  EROFS: "PERMISSION_DENIED",
  ENOSPC: "NO_SPACE",
  EDQUOT: "NO_SPACE",
  ELOOP: "OUTSIDE_ROOT",
};

/** What the file system said, in the terms of a session. Errors of our own pass unchanged. */
export function translate(error: unknown, path: string): unknown {
  if (!(error instanceof Error) || !("code" in error) || typeof error.code !== "string") return error;
  const code = codes[error.code];
  if (error instanceof TransportError || (code === undefined && !error.code.startsWith("E"))) return error;
  const reason = error.message.replace(/^\w+: /, "").replace(/, \w+ '.*$/s, "");
  return new TransportError(code ?? "TOOL_FAILED", `${path}: ${reason}`, { cause: error });
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

/** For files and links the link call refuses an existing target; for directories rename does, unless it is empty. */
export function renameWithoutReplacing(source: string, target: string): void {
  if (lstatSync(source).isDirectory()) {
    if (existsSync(target)) throw new TransportError("ALREADY_EXISTS", "the target of the move exists");
    renameSync(source, target);
    return;
  }
  linkSync(source, target);
  unlinkSync(source);
}

/** A second name for what is about to be replaced; where the file system has none, the thing itself. */
function keepAside(target: string, kept: string): void {
  if (lstatSync(target, { throwIfNoEntry: false }) === undefined) return;
  unlinkIfThere(kept);
  try {
    linkSync(target, kept);
  } catch {
    renameSync(target, kept);
  }
}

function unlinkIfThere(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ENOENT")) throw error;
  }
}

function killGroup(processId: number | undefined): void {
  if (processId === undefined) return;
  try {
    process.kill(-processId, "SIGKILL");
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ESRCH")) throw error;
  }
}

/** The same directory is the same session: its id is kept in it. */
function sessionIdOf(directory: string): string {
  const file = join(directory, SESSION_FILE);
  try {
    writeFileSync(file, `local-${randomUUID()}\n`, { flag: "wx", mode: 0o600 });
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error;
  }
  return readFileSync(file, "utf8").trim();
}
