import { hasCode, TransportError } from "../../errors.ts";
import type { Content } from "../../tree/content.ts";
import type { Digest } from "../../tree/digest.ts";
import { DigestStream } from "../../tree/digest.ts";
import type { Entry, Mode } from "../../tree/entry.ts";
import type { WorkspacePath } from "../../tree/workspace-path.ts";
import { baseName, childPath, parentPath } from "../../tree/workspace-path.ts";
import { sleepOrAbort, systemClock } from "../retry-policy.ts";
import type {
  Child,
  Counters,
  Features,
  MoveOptions,
  SessionProbe,
  ShellRequest,
  ShellResult,
  Transport,
  UploadedFile,
  UploadSource,
} from "../transport.ts";
import { runByCode } from "./code-shell.ts";
import type { FileTransfer } from "./file-transfer.ts";
import { handlesFiles, probeShell } from "./probe.ts";
import { ShellFiles } from "./shell-files.ts";
import { runShell } from "./shell-tool.ts";
import type { ToolCaller } from "./tool-caller.ts";
import { ToolFiles } from "./tool-files.ts";

/** Larger binary files go by file transfer where there is one: a command holds some 36 kB of them. */
const UPLOAD_FROM_BYTES = 400_000;
/** Text up to this size is one or a few calls of write_file. */
const TEXT_UP_TO_BYTES = 400_000;

/** How often, and how far apart, a session without a shell is asked for an upload that the service says is there. */
const ARRIVAL_LOOKS = 20;
const ARRIVAL_PAUSE_MS = 500;

/** The tool that runs commands (protocol §7). */
export type ShellTool = "shell" | "run_code" | "none";

/** What all workspaces of one session share. */
export type AgbConnection = {
  readonly sessionId: string;
  readonly caller: ToolCaller;
  readonly transfer: FileTransfer | undefined;
  readonly counters: Counters;
  readonly timeoutMs: number;
  /** What commands go through; "none" where the session's own list of tools has neither. */
  readonly shellTool: ShellTool;
  readonly close: () => Promise<void>;
};

/**
 * The probe of a session, asked once however many workspaces it has. A failed question is asked again next time.
 */
export class SharedProbe {
  readonly #connection: AgbConnection;
  #probe: Promise<SessionProbe> | undefined;

  constructor(connection: AgbConnection) {
    this.#connection = connection;
  }

  async get(signal: AbortSignal): Promise<SessionProbe> {
    this.#probe ??= this.#ask(signal);
    try {
      return await this.#probe;
    } catch (error) {
      this.#probe = undefined;
      throw error;
    }
  }

  async #ask(signal: AbortSignal): Promise<SessionProbe> {
    const { shellTool, transfer } = this.#connection;
    const none: SessionProbe = { shell: false, commands: new Set(), transfer: false };
    const probe = shellTool === "none" ? none : await probeShell(shellOf(this.#connection), signal);
    if (probe.shell || transfer === undefined) return { ...probe, transfer: transfer !== undefined };
    return { ...probe, transfer: await transfer.isAvailable(signal) };
  }
}

/** The files of an AGB session: by commands where it has a shell with the usual programs, else by the file tools. */
export class AgbTransport implements Transport {
  readonly kind = "agb";
  readonly root: string;
  readonly #connection: AgbConnection;
  readonly #probe: SharedProbe;
  readonly #tools: ToolFiles;

  constructor(connection: AgbConnection, probe: SharedProbe, root: string) {
    this.#connection = connection;
    this.#probe = probe;
    this.root = root.length > 1 ? root.replace(/\/+$/, "") : root;
    this.#tools = new ToolFiles(connection.caller, connection.timeoutMs);
  }

  get sessionId(): string {
    return this.#connection.sessionId;
  }

  get counters(): Counters {
    return this.#connection.counters;
  }

  async features(signal: AbortSignal): Promise<Features> {
    const probe = await this.#probe.get(signal);
    const byShell = handlesFiles(probe);
    return {
      modes: byShell,
      links: byShell,
      binary: byShell || probe.transfer,
      removeDirectory: byShell,
      anyName: byShell,
      shell: probe.shell,
      foldsNames: false,
      probe,
    };
  }

  async listDirectory(path: WorkspacePath, signal: AbortSignal): Promise<readonly Child[]> {
    const files = await this.#byShell(signal);
    return files === undefined ? await this.#tools.list(this.#absolute(path), signal) : await files.list(path, signal);
  }

  async stat(path: WorkspacePath, signal: AbortSignal): Promise<Entry | undefined> {
    const files = await this.#byShell(signal);
    return files === undefined ? await this.#tools.stat(this.#absolute(path), signal) : await files.stat(path, signal);
  }

  readFile(path: WorkspacePath, signal: AbortSignal): AsyncIterable<Uint8Array> {
    return this.#tools.read(this.#absolute(path), signal);
  }

  async digestFiles(paths: readonly WorkspacePath[], signal: AbortSignal): Promise<ReadonlyMap<WorkspacePath, Digest>> {
    if (paths.length === 0) return new Map();
    const files = await this.#byShell(signal);
    if (files !== undefined) return await files.digests(paths, signal);
    const found = new Map<WorkspacePath, Digest>();
    const queue = paths.values();
    const worker = async () => {
      for (const path of queue) {
        const digest = await this.#digestByReading(path, signal);
        if (digest !== undefined) found.set(path, digest);
      }
    };
    await Promise.all(Array.from({ length: READING }, worker));
    return found;
  }

  async writeFile(path: WorkspacePath, content: Content, mode: Mode, signal: AbortSignal): Promise<void> {
    const files = await this.#byShell(signal);
    const text = content.sizeBytes <= TEXT_UP_TO_BYTES || files === undefined ? await textOf(content) : undefined;
    const isPlain = text !== undefined && (files === undefined || !/[\r\u0000\ufeff]/.test(text));
    if (isPlain) {
      await this.#tools.writeText(this.#absolute(path), text, signal);
      await files?.setMode(path, mode, signal);
      return;
    }
    const { transfer } = this.#connection;
    const goesByTransfer = files === undefined || content.sizeBytes > UPLOAD_FROM_BYTES;
    if (goesByTransfer && transfer !== undefined && (await transfer.isAvailable(signal))) {
      try {
        await this.#writeByTransfer(transfer, files, path, content, mode, signal);
        return;
      } catch (error) {
        if (files === undefined || !hasCode(error, "NOT_POSSIBLE_HERE")) throw error;
      }
    }
    if (files === undefined) {
      throw new TransportError(
        "NOT_POSSIBLE_HERE",
        "this session takes text only: it has no shell and no file transfer",
      );
    }
    if (content.sensitive) await this.#writeEncoded(files, path, content, mode, signal);
    else await files.writeBytes(path, content.open(), mode, signal);
  }

  async createDirectory(path: WorkspacePath, mode: Mode | undefined, signal: AbortSignal): Promise<void> {
    const files = await this.#byShell(signal);
    if (files !== undefined) await files.createDirectory(path, mode, signal);
    else await this.#tools.createDirectory(this.#absolute(path), signal);
  }

  async move(from: WorkspacePath, to: WorkspacePath, options: MoveOptions, signal: AbortSignal): Promise<void> {
    const files = await this.#byShell(signal);
    if (files !== undefined) {
      await files.move(from, to, options, signal);
      return;
    }
    const { replace, keepAt } = options;
    // File tools make no links: for a moment nothing is at `to`.
    if (keepAt !== undefined && (await this.#tools.stat(this.#absolute(to), signal)) !== undefined) {
      await this.#tools.move(this.#absolute(to), this.#absolute(keepAt), false, signal);
    }
    await this.#tools.move(this.#absolute(from), this.#absolute(to), replace, signal);
  }

  async deleteFile(path: WorkspacePath, signal: AbortSignal): Promise<void> {
    const files = await this.#byShell(signal);
    if (files !== undefined) await files.deleteFile(path, signal);
    else await this.#tools.deleteFile(this.#absolute(path), signal);
  }

  async removeDirectory(path: WorkspacePath, signal: AbortSignal): Promise<void> {
    const files = await this.#mustHaveShell("removed directories", signal);
    await files.removeDirectory(path, signal);
  }

  async setMode(path: WorkspacePath, mode: Mode, signal: AbortSignal): Promise<void> {
    const files = await this.#mustHaveShell("modes", signal);
    await files.setMode(path, mode, signal);
  }

  async createLink(path: WorkspacePath, target: string, signal: AbortSignal): Promise<void> {
    const files = await this.#mustHaveShell("links", signal);
    await files.createLink(path, target, signal);
  }

  get shell(): (request: ShellRequest, signal: AbortSignal) => Promise<ShellResult> {
    return shellOf(this.#connection);
  }

  get prepareUpload(): ((signal: AbortSignal) => void) | undefined {
    const { transfer } = this.#connection;
    return transfer && ((signal: AbortSignal) => transfer.prepare(signal));
  }

  get upload(): ((source: UploadSource, signal: AbortSignal) => Promise<UploadedFile>) | undefined {
    const { transfer } = this.#connection;
    return transfer && ((source: UploadSource, signal: AbortSignal) => transfer.upload(source, signal));
  }

  async close(): Promise<void> {
    await this.#connection.close();
  }

  async #byShell(signal: AbortSignal): Promise<ShellFiles | undefined> {
    const probe = await this.#probe.get(signal);
    return handlesFiles(probe) ? new ShellFiles(this.shell, this.root, probe) : undefined;
  }

  async #mustHaveShell(what: string, signal: AbortSignal): Promise<ShellFiles> {
    const files = await this.#byShell(signal);
    if (files !== undefined) return files;
    throw new TransportError("NOT_POSSIBLE_HERE", `${what} need the shell tool, which this session does not have`);
  }

  async #digestByReading(path: WorkspacePath, signal: AbortSignal): Promise<Digest | undefined> {
    const stream = new DigestStream();
    try {
      for await (const chunk of this.readFile(path, signal)) stream.update(chunk);
    } catch (error) {
      if (hasCode(error, "NOT_FOUND", "IS_A_DIRECTORY", "NOT_A_DIRECTORY", "PERMISSION_DENIED")) return undefined;
      throw error;
    }
    return stream.digest();
  }

  /** Sensitive bytes as text through write_file, so that they are never part of a command (S29). */
  async #writeEncoded(files: ShellFiles, path: WorkspacePath, content: Content, mode: Mode, signal: AbortSignal) {
    const chunks: Uint8Array[] = [];
    for await (const chunk of content.open()) chunks.push(chunk);
    const beside = childPath(parentPath(path), `${baseName(path)}.b64`);
    await this.#tools.writeText(this.#absolute(beside), Buffer.concat(chunks).toString("base64"), signal);
    await files.decode(beside, path, mode, signal);
  }

  async #writeByTransfer(
    transfer: FileTransfer,
    files: ShellFiles | undefined,
    path: WorkspacePath,
    content: Content,
    mode: Mode,
    signal: AbortSignal,
  ): Promise<void> {
    const source = { sizeBytes: content.sizeBytes, open: () => content.open() };
    const uploaded = await transfer.upload(source, signal);
    const ended = new AbortController();
    try {
      if (files === undefined) {
        await uploaded.settled;
        await this.#untilWhole(uploaded.absolutePath, content.sizeBytes, signal);
        await this.#tools.move(uploaded.absolutePath, this.#absolute(path), true, signal);
      } else {
        const until = AbortSignal.any([signal, ended.signal]);
        const arrived = files.fetch(uploaded.absolutePath, content.sizeBytes, path, mode, until);
        // What is given up after `settled` failed has no one to hear how it ends.
        arrived.catch(() => undefined);
        await Promise.race([arrived, uploaded.settled.then(() => arrived)]);
      }
    } finally {
      ended.abort();
      await uploaded.discard();
    }
  }

  /** The service's word that a file arrived is no evidence (S34), and it may have stopped to say anything. */
  async #untilWhole(absolutePath: string, sizeBytes: number, signal: AbortSignal): Promise<void> {
    for (let look = 1; ; look += 1) {
      const entry = await this.#tools.stat(absolutePath, signal);
      if (entry?.kind === "file" && entry.sizeBytes === sizeBytes) return;
      if (look === ARRIVAL_LOOKS) break;
      await sleepOrAbort(systemClock, ARRIVAL_PAUSE_MS, signal);
    }
    throw new TransportError("UNAVAILABLE", "an upload did not arrive in the session", { retryable: true });
  }

  #absolute(path: WorkspacePath): string {
    if (path === "") return this.root;
    return this.root === "/" ? `/${path}` : `${this.root}/${path}`;
  }
}

function shellOf({ caller, shellTool }: AgbConnection) {
  const run = shellTool === "run_code" ? runByCode : runShell;
  return async (request: ShellRequest, signal: AbortSignal) => await run(caller, request, signal);
}

/** Files read side by side where nothing in the session can hash. */
const READING = 8;

/** The content as text, or undefined when it is none. */
async function textOf(content: Content): Promise<string | undefined> {
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  let text = "";
  try {
    for await (const chunk of content.open()) {
      if (chunk.includes(0)) return undefined;
      text += decoder.decode(chunk, { stream: true });
    }
    return text + decoder.decode();
  } catch (error) {
    if (error instanceof TypeError) return undefined;
    throw error;
  }
}
