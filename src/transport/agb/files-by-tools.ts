import { systemClock } from "../../clock.ts";
import { hasCode, TransportError } from "../../errors.ts";
import type { Content } from "../../tree/content.ts";
import type { Digest } from "../../tree/digest.ts";
import { DigestStream } from "../../tree/digest.ts";
import type { Entry, Mode } from "../../tree/entry.ts";
import type { WorkspacePath } from "../../tree/workspace-path.ts";
import type { Requests } from "../requests.ts";
import { sleepOrAbort } from "../retry-policy.ts";
import type { Child, MoveOptions } from "../transport.ts";
import { absoluteIn, type FileAccess, textOfContent } from "./file-access.ts";
import type { FileTransfer } from "./file-transfer.ts";
import { ChangedWhileRead, type ToolFiles } from "./tool-files.ts";

/** Files read side by side, as nothing in the session can hash. */
const READING = 16;
/** How often, and how far apart, the session is asked for an upload that the service says is there. */
const ARRIVAL_LOOKS = 20;
const ARRIVAL_PAUSE_MS = 500;

/** Files by the file tools and by file transfer alone: in sessions that have no shell, or not the usual programs. */
export class FilesByTools implements FileAccess {
  readonly abilities;
  readonly #root: string;
  readonly #tools: ToolFiles;
  readonly #requests: Requests;
  readonly #transfer: FileTransfer | undefined;

  constructor(root: string, tools: ToolFiles, requests: Requests, transfer: FileTransfer | undefined) {
    this.#root = root;
    this.#tools = tools;
    this.#requests = requests;
    this.#transfer = transfer;
    const binary = transfer !== undefined;
    this.abilities = { modes: false, links: false, binary, removeDirectory: false, anyName: false };
  }

  async list(path: WorkspacePath, signal: AbortSignal): Promise<readonly Child[]> {
    return await this.#tools.list(this.#absolute(path), signal);
  }

  async stat(path: WorkspacePath, signal: AbortSignal): Promise<Entry | undefined> {
    return await this.#tools.stat(this.#absolute(path), signal);
  }

  async digests(paths: readonly WorkspacePath[], signal: AbortSignal): Promise<ReadonlyMap<WorkspacePath, Digest>> {
    const found = new Map<WorkspacePath, Digest>();
    const queue = paths.values();
    const worker = async () => {
      for (const path of queue) {
        const digest = await this.#digest(path, signal);
        if (digest !== undefined) found.set(path, digest);
      }
    };
    await Promise.all(Array.from({ length: READING }, worker));
    return found;
  }

  async write(path: WorkspacePath, content: Content, _mode: Mode, signal: AbortSignal): Promise<void> {
    const text = await textOfContent(content);
    if (text !== undefined) {
      await this.#tools.writeText(this.#absolute(path), text, signal);
      return;
    }
    if (this.#transfer === undefined || !(await this.#transfer.isAvailable(signal))) {
      throw new TransportError(
        "NOT_POSSIBLE_HERE",
        "this session takes text only: it has no shell and no file transfer",
      );
    }
    const source = { sizeBytes: content.sizeBytes, open: () => content.open() };
    const uploaded = await this.#transfer.upload(source, signal);
    try {
      await uploaded.settled;
      await this.#untilWhole(uploaded.absolutePath, content.sizeBytes, signal);
      await this.#tools.move(uploaded.absolutePath, this.#absolute(path), true, signal);
    } catch (error) {
      // What has arrived of it would keep a full disk full.
      await this.#tools.deleteFile(uploaded.absolutePath, signal).catch(() => undefined);
      throw error;
    } finally {
      await uploaded.discard();
    }
  }

  async createDirectory(path: WorkspacePath, _mode: Mode | undefined, signal: AbortSignal): Promise<void> {
    await this.#tools.createDirectory(this.#absolute(path), signal);
  }

  async move(from: WorkspacePath, to: WorkspacePath, options: MoveOptions, signal: AbortSignal): Promise<void> {
    const { replace, keepAt } = options;
    // File tools make no links: for a moment nothing is at `to`.
    if (keepAt !== undefined && (await this.stat(to, signal)) !== undefined) {
      await this.#tools.move(this.#absolute(to), this.#absolute(keepAt), false, signal);
    }
    await this.#tools.move(this.#absolute(from), this.#absolute(to), replace, signal);
  }

  async deleteFile(path: WorkspacePath, signal: AbortSignal): Promise<void> {
    await this.#tools.deleteFile(this.#absolute(path), signal);
  }

  async removeDirectory(): Promise<void> {
    throw needsShell("removed directories");
  }

  async setMode(): Promise<void> {
    throw needsShell("modes");
  }

  async createLink(): Promise<void> {
    throw needsShell("links");
  }

  /** One that changes meanwhile is read again: nothing of it was given out. */
  async #digest(path: WorkspacePath, signal: AbortSignal): Promise<Digest | undefined> {
    const read = async () => {
      const stream = new DigestStream();
      for await (const chunk of this.#tools.read(this.#absolute(path), signal)) stream.update(chunk);
      return stream.digest();
    };
    try {
      return await this.#requests.again(read, (error) => error instanceof ChangedWhileRead, signal);
    } catch (error) {
      if (hasCode(error, "NOT_FOUND", "IS_A_DIRECTORY", "NOT_A_DIRECTORY", "PERMISSION_DENIED")) return undefined;
      throw error;
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
    return absoluteIn(this.#root, path);
  }
}

function needsShell(what: string): TransportError {
  return new TransportError("NOT_POSSIBLE_HERE", `${what} need the shell tool, which this session does not have`);
}
