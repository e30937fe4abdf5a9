import { hasCode, TransportError } from "../../errors.ts";
import type { Entry } from "../../tree/entry.ts";
import { printable } from "../../tree/printable.ts";
import type { Child } from "../transport.ts";
import { shorten } from "./parse-envelope.ts";
import { textChunks } from "./text-chunks.ts";
import type { ToolCaller } from "./tool-caller.ts";

/** What the SDKs read at a time; the largest answer that is known to pass (protocol §6.1). */
const READ_CHUNK_BYTES = 51_200;

/** Files of a session by the file tools alone (protocol §6). Paths are absolute. One call each, no retry. */
export class ToolFiles {
  readonly #caller: ToolCaller;
  readonly #timeoutMs: number;

  constructor(caller: ToolCaller, timeoutMs: number) {
    this.#caller = caller;
    this.#timeoutMs = timeoutMs;
  }

  async list(path: string, signal: AbortSignal): Promise<readonly Child[]> {
    const text = await this.#call("list_directory", { path }, signal);
    return parseListing(text);
  }

  /** `linksLookLike` their targets here: a session without a shell does not tell them apart (protocol §14). */
  async stat(path: string, signal: AbortSignal): Promise<Entry | undefined> {
    try {
      return parseFileInfo(await this.#call("get_file_info", { path }, signal));
    } catch (error) {
      if (hasCode(error, "NOT_FOUND", "NOT_A_DIRECTORY")) return undefined;
      throw error;
    }
  }

  /** The bytes in order; a file that changes meanwhile fails instead of giving a mix (protocol §6.1). */
  async *read(path: string, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    const [before, first] = await Promise.all([this.#info(path, signal), this.#readChunk(path, 0, signal)]);
    const entry = parseFileInfo(before);
    if (entry.kind === "directory") {
      throw new TransportError("IS_A_DIRECTORY", `${printable(path)} is a directory`);
    }
    const sizeBytes = entry.kind === "file" ? entry.sizeBytes : 0;
    let offset = 0;
    for (let chunk = first; chunk.byteLength > 0; ) {
      yield chunk;
      offset += chunk.byteLength;
      if (offset >= sizeBytes) break;
      chunk = await this.#readChunk(path, offset, signal);
    }
    const isOneChunk = offset === first.byteLength;
    const after = isOneChunk ? before : await this.#info(path, signal);
    if (offset !== sizeBytes || after !== before) {
      throw new TransportError("UNAVAILABLE", `${printable(path)} changed in the session while it was read`, {
        retryable: true,
        hint: "apply again once nothing writes to the file",
      });
    }
  }

  /** Text in as many calls as the message cap asks for; a repetition begins with `overwrite` again. */
  async writeText(path: string, text: string, signal: AbortSignal): Promise<void> {
    let mode: "overwrite" | "append" = "overwrite";
    for (const content of textChunks(text)) {
      await this.#call("write_file", { path, content, mode }, signal);
      mode = "append";
    }
  }

  /** Makes missing parents too. Whether an existing directory is an error differs (protocol §6.5). */
  async createDirectory(path: string, signal: AbortSignal): Promise<void> {
    try {
      await this.#call("create_directory", { path }, signal);
    } catch (error) {
      if (!hasCode(error, "ALREADY_EXISTS", "TOOL_FAILED")) throw error;
      const there = await this.stat(path, signal);
      if (there?.kind !== "directory") throw error;
    }
  }

  /** Whether an existing destination is replaced differs (protocol §6.5): looked at first, or removed when refused. */
  async move(source: string, destination: string, replace: boolean, signal: AbortSignal): Promise<void> {
    if (!replace && (await this.stat(destination, signal)) !== undefined) throw alreadyExists(destination);
    try {
      await this.#call("move_file", { source, destination }, signal);
    } catch (error) {
      if (!replace || !hasCode(error, "ALREADY_EXISTS", "TOOL_FAILED")) throw error;
      const there = await this.stat(destination, signal);
      if (there === undefined) throw error;
      if (there.kind === "directory")
        throw new TransportError("IS_A_DIRECTORY", `${printable(destination)} is a directory`);
      await this.deleteFile(destination, signal);
      await this.#call("move_file", { source, destination }, signal);
    }
  }

  async deleteFile(path: string, signal: AbortSignal): Promise<void> {
    try {
      await this.#call("delete_file", { path }, signal);
    } catch (error) {
      if (hasCode(error, "NOT_FOUND", "NOT_A_DIRECTORY")) return;
      if (!hasCode(error, "TOOL_FAILED")) throw error;
      const there = await this.stat(path, signal);
      if (there === undefined) return;
      throw there.kind === "directory"
        ? new TransportError("IS_A_DIRECTORY", `${printable(path)} is a directory`)
        : error;
    }
  }

  async #info(path: string, signal: AbortSignal): Promise<string> {
    return await this.#call("get_file_info", { path }, signal);
  }

  async #readChunk(path: string, offset: number, signal: AbortSignal): Promise<Uint8Array> {
    try {
      const args = { path, offset, length: READ_CHUNK_BYTES, format: "binary" };
      const text = (await this.#call("read_file", args, signal)).replaceAll(/\s/g, "");
      const bytes = Buffer.from(text, "base64");
      if (bytes.toString("base64") === text) return bytes;
    } catch (error) {
      // Past the end some answer with nothing and some with an error; the size decides.
      if (offset === 0 || !hasCode(error, "TOOL_FAILED")) throw error;
      return new Uint8Array();
    }
    throw new TransportError("BAD_ANSWER", `read_file: the answer is not the base64 that was asked for`, {
      retryable: true,
    });
  }

  async #call(tool: string, args: Readonly<Record<string, unknown>>, signal: AbortSignal): Promise<string> {
    return await this.#caller.call(tool, args, this.#timeoutMs, signal);
  }
}

/**
 * Exactly the tag and one blank are taken off: names may begin and end with blanks (protocol §13, trap 6). Lines of
 * another kind are skipped; a text of nothing else is no listing, and never an empty directory (S11).
 * @throws {TransportError} `BAD_ANSWER`.
 */
export function parseListing(text: string): readonly Child[] {
  const children: Child[] = [];
  for (const line of text.split("\n")) {
    const match = /^ ?\[(DIR|FILE)\] ([\s\S]+)$/.exec(line);
    if (match === null) continue;
    // `[FILE]` may be a link or a special file: only a look tells.
    children.push({ name: match[2] ?? "", kind: match[1] === "DIR" ? "directory" : "file" });
  }
  if (children.length === 0 && text.trim() !== "") {
    throw new TransportError("BAD_ANSWER", `list_directory: the answer is no listing: ${shorten(text)}`, {
      retryable: true,
    });
  }
  return children;
}

/** Values after the first colon; only size and isDirectory are dependable (protocol §6.4, §13 trap 7). */
export function parseFileInfo(text: string): Entry {
  const fields = new Map<string, string>();
  for (const line of text.split("\n")) {
    const colon = line.indexOf(":");
    if (colon > 0) fields.set(line.slice(0, colon).trim(), line.slice(colon + 1).trim());
  }
  if (fields.get("isDirectory") === "true") return { kind: "directory" };
  const size = fields.get("size") ?? "";
  if (fields.get("isDirectory") !== "false" || !/^\d{1,15}$/.test(size)) {
    throw new TransportError("BAD_ANSWER", "get_file_info: the answer says neither size nor kind", { retryable: true });
  }
  return fields.get("isFile") === "false" ? { kind: "special" } : { kind: "file", sizeBytes: Number(size) };
}

function alreadyExists(path: string): TransportError {
  return new TransportError("ALREADY_EXISTS", `${printable(path)} already exists`);
}
