import type { Content } from "../../tree/content.ts";
import type { Digest } from "../../tree/digest.ts";
import type { Entry, Mode } from "../../tree/entry.ts";
import type { WorkspacePath } from "../../tree/workspace-path.ts";
import type { Requests } from "../requests.ts";
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
import { absoluteIn, type FileAccess } from "./file-access.ts";
import type { FileTransfer } from "./file-transfer.ts";
import { FilesByShell } from "./files-by-shell.ts";
import { FilesByTools } from "./files-by-tools.ts";
import { handlesFiles, isOfShell, probeShell } from "./probe.ts";
import { ShellFiles } from "./shell-files.ts";
import { longestCommandMs, runShell } from "./shell-tool.ts";
import type { ToolCaller } from "./tool-caller.ts";
import { ToolFiles } from "./tool-files.ts";

/** The tool that runs commands (protocol §7). */
export type ShellTool = "shell" | "run_code" | "none";

/** What all workspaces of one session share. */
export type AgbConnection = {
  readonly sessionId: string;
  /** One request for each call; `requests` limits and repeats them. */
  readonly caller: ToolCaller;
  readonly requests: Requests;
  readonly transfer: FileTransfer | undefined;
  /** Longest time of one request. */
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
    const { shellTool, transfer, requests } = this.#connection;
    const none: SessionProbe = { shell: false, commands: new Set(), transfer: false };
    const look = async () => await probeShell(shellOver(this.#connection), signal);
    const probe = shellTool === "none" ? none : await requests.again(look, isOfShell, signal);
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
  #files: FileAccess | undefined;

  constructor(connection: AgbConnection, probe: SharedProbe, root: string) {
    this.#connection = connection;
    this.#probe = probe;
    this.root = root.length > 1 ? root.replace(/\/+$/, "") : root;
    this.#tools = new ToolFiles(connection);
  }

  get sessionId(): string {
    return this.#connection.sessionId;
  }

  get counters(): Counters {
    return this.#connection.requests.counters;
  }

  async features(signal: AbortSignal): Promise<Features> {
    const probe = await this.#probe.get(signal);
    const { abilities } = await this.#access(signal);
    return { ...abilities, shell: probe.shell, foldsNames: false, probe };
  }

  async listDirectory(path: WorkspacePath, signal: AbortSignal): Promise<readonly Child[]> {
    return await (await this.#access(signal)).list(path, signal);
  }

  async stat(path: WorkspacePath, signal: AbortSignal): Promise<Entry | undefined> {
    return await (await this.#access(signal)).stat(path, signal);
  }

  readFile(path: WorkspacePath, signal: AbortSignal): AsyncIterable<Uint8Array> {
    return this.#tools.read(absoluteIn(this.root, path), signal);
  }

  async digestFiles(paths: readonly WorkspacePath[], signal: AbortSignal): Promise<ReadonlyMap<WorkspacePath, Digest>> {
    return paths.length === 0 ? new Map() : await (await this.#access(signal)).digests(paths, signal);
  }

  async writeFile(path: WorkspacePath, content: Content, mode: Mode, signal: AbortSignal): Promise<void> {
    await (await this.#access(signal)).write(path, content, mode, signal);
  }

  async createDirectory(path: WorkspacePath, mode: Mode | undefined, signal: AbortSignal): Promise<void> {
    await (await this.#access(signal)).createDirectory(path, mode, signal);
  }

  async move(from: WorkspacePath, to: WorkspacePath, options: MoveOptions, signal: AbortSignal): Promise<void> {
    await (await this.#access(signal)).move(from, to, options, signal);
  }

  async deleteFile(path: WorkspacePath, signal: AbortSignal): Promise<void> {
    await (await this.#access(signal)).deleteFile(path, signal);
  }

  async removeDirectory(path: WorkspacePath, signal: AbortSignal): Promise<void> {
    await (await this.#access(signal)).removeDirectory(path, signal);
  }

  async setMode(path: WorkspacePath, mode: Mode, signal: AbortSignal): Promise<void> {
    await (await this.#access(signal)).setMode(path, mode, signal);
  }

  async createLink(path: WorkspacePath, target: string, signal: AbortSignal): Promise<void> {
    await (await this.#access(signal)).createLink(path, target, signal);
  }

  get shell(): (request: ShellRequest, signal: AbortSignal) => Promise<ShellResult> {
    return shellOver(this.#connection);
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

  /** The way to the files, chosen by what the probe found. */
  async #access(signal: AbortSignal): Promise<FileAccess> {
    if (this.#files !== undefined) return this.#files;
    const probe = await this.#probe.get(signal);
    const { requests, transfer } = this.#connection;
    this.#files ??= handlesFiles(probe)
      ? new FilesByShell(this.root, new ShellFiles(this.shell, this.root, probe, requests), this.#tools, transfer)
      : new FilesByTools(this.root, this.#tools, requests, probe.transfer ? transfer : undefined);
    return this.#files;
  }
}

/** Each command is one request: it waits, counts and is repeated by itself. */
function shellOver({ caller, shellTool, requests, timeoutMs }: AgbConnection) {
  const run = shellTool === "run_code" ? runByCode : runShell;
  return async (request: ShellRequest, signal: AbortSignal) => {
    const { what = "run a command", repeatable = false, check } = request;
    const inTime = { ...request, timeoutMs: Math.min(request.timeoutMs, longestCommandMs(timeoutMs)) };
    const once = async (own: AbortSignal) => {
      const result = await run(caller, inTime, own);
      check?.(result);
      return result;
    };
    return await requests.run({ what, repeats: repeatable ? "always" : "if-refused" }, once, signal);
  };
}
