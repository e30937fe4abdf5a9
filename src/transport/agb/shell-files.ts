import pLimit from "p-limit";
import { hasCode, TransportError } from "../../errors.ts";
import type { Content } from "../../tree/content.ts";
import type { Digest } from "../../tree/digest.ts";
import { digestFromHex } from "../../tree/digest.ts";
import type { Entry, Mode } from "../../tree/entry.ts";
import type { WorkspacePath } from "../../tree/workspace-path.ts";
import { baseName, parentPath } from "../../tree/workspace-path.ts";
import { askInBackground } from "../ask-in-background.ts";
import type { Requests } from "../requests.ts";
import { runMarked } from "../run-marked.ts";
import { type ProgramValues, shellProgram, words } from "../shell-program.ts";
import { quoteForShell } from "../shell-quote.ts";
import type { Child, MoveOptions, SessionProbe, ShellRequest, ShellResult } from "../transport.ts";
import decodeFile from "./programs/decode-file.sh.generated.js";
import deleteFile from "./programs/delete-file.sh.generated.js";
import enter from "./programs/enter.sh.generated.js";
import hashFiles from "./programs/hash-files.sh.generated.js";
import listDirectory from "./programs/list-directory.sh.generated.js";
import lookAt from "./programs/look-at.sh.generated.js";
import makeDirectory from "./programs/make-directory.sh.generated.js";
import makeLink from "./programs/make-link.sh.generated.js";
import moveThing from "./programs/move.sh.generated.js";
import removeDirectory from "./programs/remove-directory.sh.generated.js";
import setMode from "./programs/set-mode.sh.generated.js";
import takeUpload from "./programs/take-upload.sh.generated.js";
import writePiece from "./programs/write-piece.sh.generated.js";
import { MESSAGE_BUDGET_BYTES, serialisedBytes } from "./text-chunks.ts";

type Shell = (request: ShellRequest, signal: AbortSignal) => Promise<ShellResult>;

const TIMEOUT_MS = 45_000;
/** Raw bytes of one base64 piece in a command. */
const PIECE_BYTES = 36_000;
/** How often a file that was written in part is begun again, and what the session says of one. */
const WRITING_ROUNDS = 3;
const TORN = "agb-sync: written in part";
/** Commands that hash side by side. */
const HASHING = 4;

/**
 * Files of a session by commands. Before anything is changed the directory is entered and compared with where it
 * should be, and the change is made from there: a link in the way, or one that comes later, leads nowhere (S25).
 */
export class ShellFiles {
  readonly #shell: Shell;
  readonly #root: string;
  readonly #probe: SessionProbe;
  readonly #requests: Requests;

  constructor(shell: Shell, root: string, probe: SessionProbe, requests: Requests) {
    this.#shell = shell;
    this.#root = root;
    this.#probe = probe;
    this.#requests = requests;
  }

  async list(path: WorkspacePath, signal: AbortSignal): Promise<readonly Child[]> {
    const text = await this.#run(this.#program(listDirectory, { DIR: path }), "list a directory", signal);
    return fromBase64(text)
      .split("\0")
      .filter((item) => item !== "")
      .map((item) => ({ name: item.slice(1), kind: kinds[item.charAt(0)] ?? "unknown" }));
  }

  async stat(path: WorkspacePath, signal: AbortSignal): Promise<Entry | undefined> {
    const script = this.#program(lookAt, at(path));
    try {
      return parseStat(await this.#run(script, "look at a file", signal));
    } catch (error) {
      if (hasCode(error, "NOT_FOUND", "NOT_A_DIRECTORY", "OUTSIDE_ROOT")) return undefined;
      throw error;
    }
  }

  /** Links and what cannot be read are missing from the answer. */
  async digests(paths: readonly WorkspacePath[], signal: AbortSignal): Promise<ReadonlyMap<WorkspacePath, Digest>> {
    const found = new Map<WorkspacePath, Digest>();
    const limit = pLimit(HASHING);
    await Promise.all(
      inMessages(paths).map((some) =>
        limit(async () => {
          const values = { [words]: some.map((path) => `./${path}`) };
          const text = await this.#runLong(this.#program(hashFiles, values), "hash files", signal);
          const lines = text.split("\n");
          if (lines.length !== some.length) {
            throw new TransportError("BAD_ANSWER", "hash files: the answer is too short", { retryable: true });
          }
          some.forEach((path, index) => {
            const digest = digestFromHex(lines[index] ?? "");
            if (digest !== undefined) found.set(path, digest);
          });
        }),
      ),
    );
    return found;
  }

  /** Bytes as base64 inside commands; never for sensitive content (S29). Whole-file semantics. */
  async writeBytes(path: WorkspacePath, content: Pick<Content, "open">, mode: Mode, signal: AbortSignal) {
    for (let round = 1; ; round += 1) {
      try {
        await this.#writePieces(path, content.open(), mode, signal);
        break;
      } catch (error) {
        const isTorn = error instanceof TransportError && error.message.includes(TORN);
        if (!isTorn || round === WRITING_ROUNDS) throw error;
      }
    }
    if ((mode & 0o200) === 0) await this.setMode(path, mode, signal);
  }

  /** Decodes a file of base64 text that was written beside `path`, and removes it. */
  async decode(encoded: WorkspacePath, path: WorkspacePath, mode: Mode, signal: AbortSignal): Promise<void> {
    const values = { ...at(path), MODE: octal(mode), ENCODED: baseName(encoded) };
    await this.#run(this.#program(decodeFile, values), "write a file", signal);
  }

  /** Takes a file that arrived elsewhere in the session to `path`, and waits until all of it is there. */
  async fetch(from: string, sizeBytes: number, path: WorkspacePath, mode: Mode, signal: AbortSignal): Promise<void> {
    const isTaken = async () => {
      const there = await this.stat(path, signal);
      const look = shellProgram({ UPLOAD: from }, '[ -e "$UPLOAD" ] || echo gone');
      const isGone = await this.#run(look, "take over an upload", signal);
      return isGone === "gone" && there?.kind === "file" && there.sizeBytes === sizeBytes;
    };
    const values = { ...at(path), MODE: octal(mode), UPLOAD: from, BYTES: sizeBytes };
    await this.#runOnce(this.#program(takeUpload, values), "take over an upload", isTaken, signal);
  }

  async createDirectory(path: WorkspacePath, mode: Mode | undefined, signal: AbortSignal): Promise<void> {
    const values = { DIR: path, MODE: mode === undefined ? "" : octal(mode) };
    await this.#run(this.#program(makeDirectory, values), "make a directory", signal);
  }

  async move(from: WorkspacePath, to: WorkspacePath, options: MoveOptions, signal: AbortSignal): Promise<void> {
    const { replace, keepAt } = options;
    const values = {
      FROM_DIR: parentPath(from),
      FROM_NAME: baseName(from),
      TO_DIR: parentPath(to),
      TO_NAME: baseName(to),
      REPLACES: replace,
      KEEPS: keepAt !== undefined,
      ...(keepAt === undefined ? {} : { KEEP_DIR: parentPath(keepAt), KEEP_NAME: baseName(keepAt) }),
      PLAIN: !this.#probe.commands.has("mv-T"),
    };
    // After a rename whose answer was lost both ends are looked at.
    const hasMoved = async () => await this.#hasMoved(from, to, signal);
    await this.#runOnce(this.#program(moveThing, values), "move a file", hasMoved, signal);
  }

  async deleteFile(path: WorkspacePath, signal: AbortSignal): Promise<void> {
    await this.#removal(deleteFile, path, "delete a file", signal);
  }

  async removeDirectory(path: WorkspacePath, signal: AbortSignal): Promise<void> {
    await this.#removal(removeDirectory, path, "remove a directory", signal);
  }

  async setMode(path: WorkspacePath, mode: Mode, signal: AbortSignal): Promise<void> {
    await this.#run(this.#program(setMode, { ...at(path), MODE: octal(mode) }), "set a mode", signal);
  }

  async createLink(path: WorkspacePath, target: string, signal: AbortSignal): Promise<void> {
    const isMade = async () => {
      const there = await this.stat(path, signal);
      return there?.kind === "link" && there.target === target;
    };
    await this.#runOnce(this.#program(makeLink, { ...at(path), TARGET: target }), "make a link", isMade, signal);
  }

  async #writePieces(path: WorkspacePath, chunks: AsyncIterable<Uint8Array>, mode: Mode, signal: AbortSignal) {
    let sizeBytes = 0;
    const put = async (bytes: Uint8Array) => {
      const values = {
        ...at(path),
        MODE: octal(mode | 0o200),
        PIECE64: Buffer.from(bytes).toString("base64"),
        AT: sizeBytes,
        END: sizeBytes + bytes.byteLength,
        TORN,
      };
      await this.#run(this.#program(writePiece, values), "write a file", signal);
      sizeBytes += bytes.byteLength;
    };
    for await (const piece of pieces(chunks, PIECE_BYTES)) await put(piece);
    if (sizeBytes === 0) await put(new Uint8Array());
  }

  /** What is missing already, with its parents too, needs no removal. */
  async #removal(program: string, path: WorkspacePath, what: string, signal: AbortSignal): Promise<void> {
    try {
      await this.#run(this.#program(program, at(path)), what, signal);
    } catch (error) {
      if (!hasCode(error, "NOT_FOUND")) throw error;
    }
  }

  /** A program with the functions that go into directories before it. */
  #program(program: string, values: ProgramValues): string {
    return shellProgram({ ROOT: this.#root, ...values }, enter, program);
  }

  /** What takes longer than a request may last goes on in the background of the session. */
  async #runLong(command: string, what: string, signal: AbortSignal): Promise<string> {
    try {
      return await this.#run(command, what, signal);
    } catch (error) {
      if (!hasCode(error, "TIMEOUT")) throw error;
      return await askInBackground(this.#shell, command, what, signal);
    }
  }

  async #hasMoved(from: WorkspacePath, to: WorkspacePath, signal: AbortSignal): Promise<boolean> {
    const [source, destination] = await Promise.all([this.stat(from, signal), this.stat(to, signal)]);
    return source === undefined && destination !== undefined;
  }

  /** One command that may be repeated. */
  async #run(command: string, what: string, signal: AbortSignal): Promise<string> {
    const request = { command, timeoutMs: TIMEOUT_MS, repeatable: true, mustBeWhole: true };
    return await runMarked(this.#shell, request, what, signal);
  }

  /** One command that must not be doubled: `isDone` tells whether one whose answer was lost was carried out. */
  async #runOnce(command: string, what: string, isDone: () => Promise<boolean>, signal: AbortSignal): Promise<void> {
    const once = async () => await runMarked(this.#shell, { command, timeoutMs: TIMEOUT_MS }, what, signal);
    await this.#requests.afterLook(once, isDone, signal);
  }
}

/** Where a thing is, as the programs take it. */
function at(path: WorkspacePath) {
  return { DIR: parentPath(path), NAME: baseName(path) || "." };
}

const kinds: Readonly<Record<string, Child["kind"]>> = { l: "link", d: "directory", f: "file", s: "special" };

/** `m <raw mode in hex> <size>`, `l <target in base64>` or `-`. */
export function parseStat(text: string): Entry | undefined {
  if (text === "-") return undefined;
  if (text.startsWith("l ")) return { kind: "link", target: fromBase64(text.slice(2)).replace(/\n$/, "") };
  const match = /^m ([0-9a-f]{1,8}) (\d{1,15})$/.exec(text);
  if (match === null)
    throw new TransportError("BAD_ANSWER", "look at a file: the answer cannot be read", { retryable: true });
  const raw = Number.parseInt(match[1] ?? "", 16);
  const mode = raw & 0o7777;
  switch (raw & 0o170000) {
    case 0o040000:
      return { kind: "directory", mode };
    case 0o100000:
      return { kind: "file", mode, sizeBytes: Number(match[2]) };
    default:
      return { kind: "special" };
  }
}

/** Groups of paths, each small enough to be quoted in one command. */
function inMessages(paths: readonly WorkspacePath[]): readonly (readonly WorkspacePath[])[] {
  const groups: WorkspacePath[][] = [];
  let roomBytes = 0;
  for (const path of paths) {
    // Serialised twice: the command is JSON text inside the JSON of the arguments.
    const sizeBytes = serialisedBytes(quoteForShell(`./${path}`)) + 1;
    if (groups.length === 0 || sizeBytes > roomBytes) {
      groups.push([]);
      roomBytes = MESSAGE_BUDGET_BYTES - 2000;
    }
    groups.at(-1)?.push(path);
    roomBytes -= sizeBytes;
  }
  return groups;
}

async function* pieces(chunks: AsyncIterable<Uint8Array>, sizeBytes: number): AsyncGenerator<Uint8Array> {
  let held = Buffer.alloc(0);
  for await (const chunk of chunks) {
    held = Buffer.concat([held, chunk]);
    for (; held.byteLength >= sizeBytes; held = held.subarray(sizeBytes)) yield held.subarray(0, sizeBytes);
  }
  if (held.byteLength > 0) yield held;
}

function fromBase64(text: string): string {
  return Buffer.from(text, "base64").toString("utf8");
}

function octal(mode: number): string {
  return mode.toString(8).padStart(4, "0");
}
