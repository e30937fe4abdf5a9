import type { Content } from "../../tree/content.ts";
import type { Digest } from "../../tree/digest.ts";
import type { Entry, Mode } from "../../tree/entry.ts";
import type { WorkspacePath } from "../../tree/workspace-path.ts";
import { baseName, childPath, parentPath } from "../../tree/workspace-path.ts";
import type { Child, MoveOptions } from "../transport.ts";
import { isFailedUpload } from "../upload-failed.ts";
import { absoluteIn, type FileAccess, textOfContent } from "./file-access.ts";
import type { FileTransfer } from "./file-transfer.ts";
import type { ShellFiles } from "./shell-files.ts";
import type { ToolFiles } from "./tool-files.ts";

/** Larger binary files go by file transfer where there is one: a command holds some 36 kB of them. */
const UPLOAD_FROM_BYTES = 400_000;
/** Text up to this size is one or a few calls of write_file. */
const TEXT_UP_TO_BYTES = 400_000;

/** Files by commands; plain text by `write_file`, and large files by file transfer, where that takes fewer requests. */
export class FilesByShell implements FileAccess {
  readonly abilities = { modes: true, links: true, binary: true, removeDirectory: true, anyName: true };
  readonly #root: string;
  readonly #shell: ShellFiles;
  readonly #tools: ToolFiles;
  readonly #transfer: FileTransfer | undefined;

  constructor(root: string, shell: ShellFiles, tools: ToolFiles, transfer: FileTransfer | undefined) {
    this.#root = root;
    this.#shell = shell;
    this.#tools = tools;
    this.#transfer = transfer;
  }

  async list(path: WorkspacePath, signal: AbortSignal): Promise<readonly Child[]> {
    return await this.#shell.list(path, signal);
  }

  async stat(path: WorkspacePath, signal: AbortSignal): Promise<Entry | undefined> {
    return await this.#shell.stat(path, signal);
  }

  async digests(paths: readonly WorkspacePath[], signal: AbortSignal): Promise<ReadonlyMap<WorkspacePath, Digest>> {
    return await this.#shell.digests(paths, signal);
  }

  async write(path: WorkspacePath, content: Content, mode: Mode, signal: AbortSignal): Promise<void> {
    const text = content.sizeBytes <= TEXT_UP_TO_BYTES ? await textOfContent(content) : undefined;
    // What tools may do to line ends and marks is not known (protocol §14).
    if (text !== undefined && !/[\r\u0000\ufeff]/.test(text)) {
      await this.#tools.writeText(absoluteIn(this.#root, path), text, signal);
      await this.#shell.setMode(path, mode, signal);
      return;
    }
    if (content.sizeBytes > UPLOAD_FROM_BYTES && (await this.#writeByTransfer(path, content, mode, signal))) return;
    if (content.sensitive) await this.#writeEncoded(path, content, mode, signal);
    else await this.#shell.writeBytes(path, content, mode, signal);
  }

  async createDirectory(path: WorkspacePath, mode: Mode | undefined, signal: AbortSignal): Promise<void> {
    await this.#shell.createDirectory(path, mode, signal);
  }

  async move(from: WorkspacePath, to: WorkspacePath, options: MoveOptions, signal: AbortSignal): Promise<void> {
    await this.#shell.move(from, to, options, signal);
  }

  async deleteFile(path: WorkspacePath, signal: AbortSignal): Promise<void> {
    await this.#shell.deleteFile(path, signal);
  }

  async removeDirectory(path: WorkspacePath, signal: AbortSignal): Promise<void> {
    await this.#shell.removeDirectory(path, signal);
  }

  async setMode(path: WorkspacePath, mode: Mode, signal: AbortSignal): Promise<void> {
    await this.#shell.setMode(path, mode, signal);
  }

  async createLink(path: WorkspacePath, target: string, signal: AbortSignal): Promise<void> {
    await this.#shell.createLink(path, target, signal);
  }

  /** Sensitive bytes as text through write_file, so that they are never part of a command (S29). */
  async #writeEncoded(path: WorkspacePath, content: Content, mode: Mode, signal: AbortSignal): Promise<void> {
    const chunks: Uint8Array[] = [];
    for await (const chunk of content.open()) chunks.push(chunk);
    const beside = childPath(parentPath(path), `${baseName(path)}.b64`);
    const text = Buffer.concat(chunks).toString("base64");
    await this.#tools.writeText(absoluteIn(this.#root, beside), text, signal);
    await this.#shell.decode(beside, path, mode, signal);
  }

  /** False where the session has no transfer, or refuses this one for good. */
  async #writeByTransfer(path: WorkspacePath, content: Content, mode: Mode, signal: AbortSignal): Promise<boolean> {
    const transfer = this.#transfer;
    if (transfer === undefined || !(await transfer.isAvailable(signal))) return false;
    const ended = new AbortController();
    try {
      const source = { sizeBytes: content.sizeBytes, open: () => content.open() };
      const uploaded = await transfer.upload(source, signal);
      try {
        const until = AbortSignal.any([signal, ended.signal]);
        const arrived = this.#shell.fetch(uploaded.absolutePath, content.sizeBytes, path, mode, until);
        // What is given up after `settled` failed has no one to hear how it ends.
        arrived.catch(() => undefined);
        await Promise.race([arrived, uploaded.settled.then(() => arrived)]);
        return true;
      } catch (error) {
        await this.#tools.deleteFile(uploaded.absolutePath, signal).catch(() => undefined);
        throw error;
      } finally {
        ended.abort();
        await uploaded.discard();
      }
    } catch (error) {
      if (!isFailedUpload(error)) throw error;
      return false;
    }
  }
}
