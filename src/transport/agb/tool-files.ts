import { hasCode, TransportError } from "../../errors.ts";
import type { Entry } from "../../tree/entry.ts";
import { printable } from "../../tree/printable.ts";
import type { Requests } from "../requests.ts";
import { shorten } from "../shorten.ts";
import type { Child } from "../transport.ts";

import { textChunks } from "./text-chunks.ts";
import type { ToolArguments, ToolCaller } from "./tool-caller.ts";

/** What the SDKs read at a time; the largest answer that is known to pass (protocol §6.1). */
const READ_CHUNK_BYTES = 51_200;

/** How often a text that was written in part is begun again. */
const WRITING_ROUNDS = 3;

/** A file of the session that somebody wrote to while it was read. */
export class ChangedWhileRead extends TransportError {
  constructor(path: string) {
    super("UNAVAILABLE", `${printable(path)} changed in the session while it was read`, {
      hint: "apply again once nothing writes to the file",
      retryable: true,
    });
  }
}

/** A text that is there in part, or with a part doubled: only from its start can it be written again. */
class TornText extends TransportError {
  constructor(path: string) {
    super("UNAVAILABLE", `${printable(path)} was written in part only`, { hint: "apply again", retryable: true });
  }
}

/** Files of a session by the file tools alone (protocol §6). Paths are absolute. Each call is one request. */
export class ToolFiles {
  readonly #caller: ToolCaller;
  readonly #requests: Requests;
  readonly #timeoutMs: number;

  constructor(connection: { readonly caller: ToolCaller; readonly requests: Requests; readonly timeoutMs: number }) {
    this.#caller = connection.caller;
    this.#requests = connection.requests;
    this.#timeoutMs = connection.timeoutMs;
  }

  async list(path: string, signal: AbortSignal): Promise<readonly Child[]> {
    return await this.#ask("list_directory", { path }, parseListing, signal);
  }

  /** Undefined when nothing is there. Follows links: a session without a shell does not tell them apart (protocol §14). */
  async stat(path: string, signal: AbortSignal): Promise<Entry | undefined> {
    try {
      return await this.#ask("get_file_info", { path }, parseFileInfo, signal);
    } catch (error) {
      if (hasCode(error, "NOT_FOUND", "NOT_A_DIRECTORY")) return undefined;
      throw error;
    }
  }

  /**
   * The bytes in order; a file that changes meanwhile fails instead of giving a mix (protocol §6.1).
   * @throws {ChangedWhileRead} once something was given out; before that it is read again.
   */
  async *read(path: string, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    const begin = async () => await this.#beginReading(path, signal);
    const { before, sizeBytes, first } = await this.#requests.again(begin, isChange, signal);
    let offset = 0;
    for (let chunk = first; chunk.byteLength > 0; ) {
      yield chunk;
      offset += chunk.byteLength;
      if (offset >= sizeBytes) break;
      chunk = await this.#readChunk(path, offset, signal);
    }
    if (offset === first.byteLength && offset === sizeBytes) return;
    if (offset !== sizeBytes || (await this.#info(path, signal)) !== before) throw new ChangedWhileRead(path);
  }

  /** Text in as many requests as the message cap asks for. Whole-file semantics: what was there before is gone. */
  async writeText(path: string, text: string, signal: AbortSignal): Promise<void> {
    for (let round = 1; ; round += 1) {
      try {
        await this.#writeFromStart(path, text, signal);
        return;
      } catch (error) {
        if (!(error instanceof TornText) || round === WRITING_ROUNDS) throw error;
      }
    }
  }

  /** Makes missing parents too. Whether an existing directory is an error differs (protocol §6.5). */
  async createDirectory(path: string, signal: AbortSignal): Promise<void> {
    try {
      await this.#ask("create_directory", { path }, ignored, signal);
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
      await this.#rename(source, destination, signal);
    } catch (error) {
      if (!replace || !hasCode(error, "ALREADY_EXISTS", "TOOL_FAILED")) throw error;
      const there = await this.stat(destination, signal);
      if (there === undefined) throw error;
      if (there.kind === "directory")
        throw new TransportError("IS_A_DIRECTORY", `${printable(destination)} is a directory`);
      await this.deleteFile(destination, signal);
      await this.#rename(source, destination, signal);
    }
  }

  async deleteFile(path: string, signal: AbortSignal): Promise<void> {
    try {
      await this.#ask("delete_file", { path }, ignored, signal);
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

  /** Details and first bytes, asked for together; of a file of one chunk they are known to belong together. */
  async #beginReading(path: string, signal: AbortSignal) {
    const [before, first] = await Promise.all([this.#info(path, signal), this.#readChunk(path, 0, signal)]);
    const entry = parseFileInfo(before);
    if (entry.kind === "directory") {
      throw new TransportError("IS_A_DIRECTORY", `${printable(path)} is a directory`);
    }
    const sizeBytes = entry.kind === "file" ? entry.sizeBytes : 0;
    const isCut = first.byteLength === 0 && sizeBytes > 0;
    if (first.byteLength > sizeBytes || isCut) throw new ChangedWhileRead(path);
    return { before, sizeBytes, first };
  }

  async #writeFromStart(path: string, text: string, signal: AbortSignal): Promise<void> {
    let sizeBytes = 0;
    let wasOpen = false;
    for (const content of textChunks(text)) {
      const beforeBytes = sizeBytes;
      sizeBytes += Buffer.byteLength(content);
      if (beforeBytes === 0) {
        await this.#ask("write_file", { path, content, mode: "overwrite" }, ignored, signal);
        continue;
      }
      const append = async () => await this.#once("write_file", { path, content, mode: "append" }, signal);
      const isAppended = async () => {
        wasOpen = true;
        const foundBytes = await this.#sizeOf(path, signal);
        if (foundBytes !== beforeBytes && foundBytes !== sizeBytes) throw new TornText(path);
        return foundBytes === sizeBytes;
      };
      await this.#requests.afterLook(append, isAppended, signal);
    }
    // What was given up for lost may have come late.
    if (wasOpen && (await this.#sizeOf(path, signal)) !== sizeBytes) throw new TornText(path);
  }

  /** After a rename whose answer was lost both ends are looked at. */
  async #rename(source: string, destination: string, signal: AbortSignal): Promise<void> {
    const hasMoved = async () => {
      const [from, to] = await Promise.all([this.stat(source, signal), this.stat(destination, signal)]);
      return from === undefined && to !== undefined;
    };
    const rename = async () => await this.#once("move_file", { source, destination }, signal);
    await this.#requests.afterLook(rename, hasMoved, signal);
  }

  async #sizeOf(path: string, signal: AbortSignal): Promise<number | undefined> {
    const entry = await this.stat(path, signal);
    return entry?.kind === "file" ? entry.sizeBytes : undefined;
  }

  async #info(path: string, signal: AbortSignal): Promise<string> {
    const whole = (text: string) => {
      parseFileInfo(text);
      return text;
    };
    return await this.#ask("get_file_info", { path }, whole, signal);
  }

  async #readChunk(path: string, offset: number, signal: AbortSignal): Promise<Uint8Array> {
    const args = { path, offset, length: READ_CHUNK_BYTES, format: "binary" };
    try {
      return await this.#ask("read_file", args, parseBase64, signal);
    } catch (error) {
      // Past the end some answer with nothing and some with an error; the size decides.
      if (offset === 0 || !hasCode(error, "TOOL_FAILED")) throw error;
      return new Uint8Array();
    }
  }

  /** One request that may be repeated; an answer that `read` refuses counts as a failed one. */
  async #ask<T>(tool: string, args: ToolArguments, read: (text: string) => T, signal: AbortSignal): Promise<T> {
    const send = async (own: AbortSignal) => read(await this.#caller.call(tool, args, this.#timeoutMs, own));
    return await this.#requests.run({ what: tool, repeats: "always" }, send, signal);
  }

  /** One request that must not be doubled. */
  async #once(tool: string, args: ToolArguments, signal: AbortSignal): Promise<void> {
    const send = async (own: AbortSignal) => await this.#caller.call(tool, args, this.#timeoutMs, own);
    await this.#requests.run({ what: tool, repeats: "if-refused" }, send, signal);
  }
}

function isChange(error: TransportError): boolean {
  return error instanceof ChangedWhileRead;
}

/** What tools that change something say on success means nothing (protocol §6). */
function ignored(): void {}

function parseBase64(text: string): Uint8Array {
  const bare = text.replaceAll(/\s/g, "");
  const bytes = Buffer.from(bare, "base64");
  if (bytes.toString("base64") === bare) return bytes;
  throw new TransportError("BAD_ANSWER", "read_file: the answer is not the base64 that was asked for", {
    retryable: true,
  });
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
  const word = (name: string) => fields.get(name)?.toLowerCase();
  if (word("isDirectory") === "true") return { kind: "directory" };
  const size = fields.get("size") ?? "";
  if (word("isDirectory") !== "false" || !/^\d{1,15}$/.test(size)) {
    throw new TransportError("BAD_ANSWER", "get_file_info: the answer says neither size nor kind", { retryable: true });
  }
  return word("isFile") === "false" ? { kind: "special" } : { kind: "file", sizeBytes: Number(size) };
}

function alreadyExists(path: string): TransportError {
  return new TransportError("ALREADY_EXISTS", `${printable(path)} already exists`);
}
