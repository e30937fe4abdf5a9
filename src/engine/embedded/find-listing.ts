import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { closeSync, constants, fstatSync, openSync, readSync, unlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { EmbeddedTransport } from "../../transport/embedded/embedded-transport.ts";
import type { WorkspacePath } from "../../tree/workspace-path.ts";
import { childPath, ROOT } from "../../tree/workspace-path.ts";
import { findBelow, PRINT_LEFT_OUT, PRINT_RECORD, prunesOf } from "../find-records.ts";

/** One thing below the root. `key` is that of the session index. */
export type Listed =
  | { readonly kind: "file"; readonly mode: number; readonly sizeBytes: number; readonly key: string }
  | { readonly kind: "directory"; readonly mode: number }
  | { readonly kind: "link"; readonly target: string }
  | { readonly kind: "special" }
  | { readonly kind: "ignored" };

/**
 * Lists a whole session by find(1) while this process does something else: on two cores a tree of 10,000 files is listed
 * by the time the sources are read. Whatever is not as usual gives no listing; a walk then says what is wrong.
 */
export class FindListing {
  readonly #output: number;
  readonly #isWhole: Promise<boolean>;
  readonly #stop: () => void;
  #isOpen = true;

  private constructor(output: number, isWhole: Promise<boolean>, stop: () => void) {
    this.#output = output;
    this.#isWhole = isWhole;
    this.#stop = stop;
  }

  /** Undefined where that cannot be done, or `find` does not understand all of the patterns. */
  static start(transport: EmbeddedTransport, ignorePatterns: readonly string[]): FindListing | undefined {
    const { prunes, isWhole } = prunesOf(ignorePatterns);
    if (process.platform !== "linux" || !isWhole) return undefined;
    const output = unnamedFile();
    if (output === undefined) return undefined;
    try {
      // Not a pipe: nobody reads while the sources are read.
      const child = transport.inside(ROOT, (at) =>
        spawn("find", [...findBelow(prunes, PRINT_LEFT_OUT), ...PRINT_RECORD], {
          cwd: at("."),
          env: { PATH: process.env["PATH"], LC_ALL: "C" },
          stdio: ["ignore", output, "ignore"],
        }),
      );
      const ended = new Promise<boolean>((resolve) => {
        child.once("error", () => resolve(false)).once("exit", (code) => resolve(code === 0));
      });
      return new FindListing(output, ended, () => void child.kill("SIGKILL"));
    } catch {
      closeSync(output);
      return undefined;
    }
  }

  /**
   * What find printed, the same for a session that is as it was; undefined when that is not all, also because the signal
   * came. To be called once.
   */
  async output(signal: AbortSignal): Promise<Buffer | undefined> {
    const stop = () => this.discard();
    signal.addEventListener("abort", stop, { once: true });
    try {
      return (await this.#isWhole) && this.#isOpen ? readAll(this.#output) : undefined;
    } finally {
      signal.removeEventListener("abort", stop);
      this.discard();
    }
  }

  discard(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#stop();
    closeSync(this.#output);
  }
}

/** A file that is gone when it is closed. */
function unnamedFile(): number | undefined {
  const path = join(tmpdir(), `agb-sync-${randomUUID()}`);
  try {
    const descriptor = openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL, 0o600);
    unlinkSync(path);
    return descriptor;
  } catch {
    return undefined;
  }
}

function readAll(descriptor: number): Buffer | undefined {
  const bytes = Buffer.allocUnsafe(fstatSync(descriptor).size);
  for (let filled = 0; filled < bytes.byteLength; ) {
    const bytesRead = readSync(descriptor, bytes, filled, bytes.byteLength - filled, filled);
    if (bytesRead === 0) return undefined;
    filled += bytesRead;
  }
  return bytes;
}

/** Reads such an output; undefined for a name that is no text, which is for the walk. */
export function parseListing(output: Buffer): Iterable<readonly [WorkspacePath, Listed]> | undefined {
  const text = output.toString("utf8");
  return text.includes("\ufffd") ? undefined : parseRecords(text);
}

/** When the youngest of the listed files was last changed, in nanoseconds. */
export function youngestNs(output: Buffer): bigint {
  let youngest = 0n;
  for (const [, listed] of parseListing(output) ?? []) {
    const ctimeNs = listed.kind === "file" ? BigInt(listed.key.split(" ")[2] ?? 0) : 0n;
    if (ctimeNs > youngest) youngest = ctimeNs;
  }
  return youngest;
}

function* parseRecords(text: string): Generator<readonly [WorkspacePath, Listed]> {
  for (let start = 0; start < text.length; ) {
    const slashes = text.indexOf("//", start);
    const end = text.indexOf("\0", slashes);
    // As the file system gave it, like a name of a directory listing.
    const path = childPath(ROOT, text.slice(start + "./".length, slashes));
    yield [path, entryOf(text.charAt(slashes + 2), text.slice(slashes + 4, end))];
    start = end + 1;
  }
}

function entryOf(kind: string, fields: string): Listed {
  switch (kind) {
    case "f": {
      const [mode = "", size = "", mtime = "", ctime = "", inode = ""] = fields.split(" ");
      const key = `${size} ${nanoseconds(mtime)} ${nanoseconds(ctime)} ${inode}`;
      return { kind: "file", mode: Number.parseInt(mode, 8), sizeBytes: Number(size), key };
    }
    case "d":
      return { kind: "directory", mode: Number.parseInt(fields, 8) };
    case "l":
      return { kind: "link", target: fields };
    default:
      return kind === "i" ? { kind: "ignored" } : { kind: "special" };
  }
}

/** Seconds and ten digits of their fraction, the last of which is always 0. */
function nanoseconds(time: string): string {
  return `${time.slice(0, -11)}${time.slice(-10, -1)}`;
}
