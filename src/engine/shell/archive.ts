import { createHash } from "node:crypto";
import { once } from "node:events";
import { createReadStream, mkdtempSync, rmSync } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { createGzip } from "node:zlib";
import { type Pack, pack as startTar } from "tar-stream";
import { AgbSyncError, hasErrno, messageOf } from "../../errors.ts";

/** One member of an archive. `open` gives exactly `sizeBytes` bytes. */
export type ArchiveEntry =
  | { readonly kind: "directory"; readonly name: string; readonly mode: number }
  | {
      readonly kind: "file";
      readonly name: string;
      readonly mode: number;
      readonly sizeBytes: number;
      open(): AsyncIterable<Uint8Array>;
    };

/** A packed archive: in memory while it is small, in a private temporary file when it is not. */
export type Archive = {
  readonly sizeBytes: number;
  /** 64 hex digits over the packed bytes. */
  readonly sha256: string;
  open(): AsyncIterable<Uint8Array>;
  /** Removes the temporary file. */
  discard(): void;
};

/** Archives up to this size stay in memory. */
const MEMORY_BYTES = 16 * 1024 * 1024;

/**
 * Packs entries in the given order into a tar, gzipped if asked for; the same entries give the same bytes. Streams: never more than
 * one file and a few buffers are held beside the packed bytes themselves.
 */
export async function packArchive(
  entries: Iterable<ArchiveEntry>,
  options: { readonly compresses: boolean; readonly onBytes: (bytes: number) => void },
): Promise<Archive> {
  const spool = new Spool();
  const tar = tarChunks(entries, options.onBytes);
  try {
    for await (const chunk of options.compresses ? compressed(tar) : tar) {
      await spool.write(chunk);
    }
    return await spool.finish();
  } catch (error) {
    spool.discard();
    throw error;
  }
}

function compressed(tar: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
  // Level 1: most of what is packed is small text, and the time to a ready workspace counts, not the last byte.
  const gzip = createGzip({ level: 1 });
  const source = Readable.from(tar, { objectMode: false, highWaterMark: 1024 * 1024 });
  return source.once("error", (error) => gzip.destroy(error)).pipe(gzip);
}

/** Files up to this size are packed many at a time, which is several times as fast as streaming each. */
const SMALL_BYTES = 256 * 1024;
const BATCH_BYTES = 4 * 1024 * 1024;
const BATCH_ENTRIES = 1000;
/** What closes a tar: two blocks of zeros. */
const END_BYTES = 1024;

async function* tarChunks(
  entries: Iterable<ArchiveEntry>,
  onBytes: (bytes: number) => void,
): AsyncGenerator<Uint8Array> {
  let batch = startTar();
  let batchBytes = 0;
  let batchEntries = 0;
  const flush = async () => {
    batch.finalize();
    const chunks: Uint8Array[] = [];
    for await (const chunk of bytesOf(batch)) chunks.push(chunk);
    batch = startTar();
    batchBytes = 0;
    batchEntries = 0;
    const packed = Buffer.concat(chunks);
    return packed.subarray(0, packed.byteLength - END_BYTES);
  };
  for (const entry of entries) {
    if (entry.kind === "file" && entry.sizeBytes > SMALL_BYTES) {
      if (batchEntries > 0) yield await flush();
      yield* streamEntry(entry, onBytes);
      continue;
    }
    if (entry.kind === "directory") batch.entry(headerOf(entry));
    else {
      const body = await readAll(entry.open(), entry.sizeBytes);
      batch.entry(headerOf(entry), body);
      batchBytes += body.byteLength;
      onBytes(body.byteLength);
    }
    batchEntries += 1;
    if (batchBytes >= BATCH_BYTES || batchEntries >= BATCH_ENTRIES) yield await flush();
  }
  if (batchEntries > 0) yield await flush();
  yield new Uint8Array(END_BYTES);
}

async function readAll(source: AsyncIterable<Uint8Array>, sizeBytes: number): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of source) chunks.push(chunk);
  const [only] = chunks;
  return Buffer.isBuffer(only) && only.byteLength === sizeBytes ? only : Buffer.concat(chunks);
}

async function* streamEntry(
  entry: Extract<ArchiveEntry, { kind: "file" }>,
  onBytes: (bytes: number) => void,
): AsyncGenerator<Uint8Array> {
  const tar = startTar();
  const fill = async () => {
    try {
      const body = tar.entry(headerOf(entry));
      // What goes wrong with the entry shows at the archive.
      body.on("error", () => undefined);
      for await (const chunk of entry.open()) {
        if (!body.write(chunk)) await once(body, "drain");
        onBytes(chunk.byteLength);
      }
      body.end(undefined);
      await once(body, "close");
      tar.finalize();
    } catch (error) {
      tar.destroy(error instanceof Error ? error : new Error(String(error)));
    }
  };
  void fill();
  // The end of this one-file archive is not the end of ours: the closing blocks are held back and dropped.
  let held: Uint8Array = new Uint8Array();
  for await (const chunk of bytesOf(tar)) {
    const bytes = held.byteLength === 0 ? chunk : Buffer.concat([held, chunk]);
    const end = Math.max(0, bytes.byteLength - END_BYTES);
    if (end > 0) yield bytes.subarray(0, end);
    held = bytes.subarray(end);
  }
}

/** The library says of its streams only that they give something. */
async function* bytesOf(tar: Pack): AsyncGenerator<Uint8Array> {
  for await (const chunk of tar) if (chunk instanceof Uint8Array) yield chunk;
}

function headerOf(entry: ArchiveEntry) {
  const sizeBytes = entry.kind === "file" ? entry.sizeBytes : 0;
  const { kind, name, mode } = entry;
  return { name, type: kind, mode, size: sizeBytes, mtime: new Date(0), uid: 0, gid: 0 };
}

/** Whether every tar reads this name the same way, without a pax record. */
export function isPlainName(name: string): boolean {
  return /^[\x20-\x7e]{1,99}$/.test(name);
}

class Spool {
  readonly #hash = createHash("sha256");
  #chunks: Uint8Array[] = [];
  #sizeBytes = 0;
  #directory: string | undefined;
  #file: FileHandle | undefined;

  async write(chunk: Uint8Array): Promise<void> {
    this.#hash.update(chunk);
    this.#sizeBytes += chunk.byteLength;
    if (this.#file === undefined && this.#sizeBytes <= MEMORY_BYTES) {
      this.#chunks.push(chunk);
      return;
    }
    await this.#onDisk(async () => {
      const file = this.#file ?? (await this.#openFile());
      await file.writeFile(chunk);
    });
  }

  async finish(): Promise<Archive> {
    await this.#onDisk(async () => await this.#file?.close());
    this.#file = undefined;
    const path = this.#path;
    const chunks = this.#chunks;
    return {
      sizeBytes: this.#sizeBytes,
      sha256: this.#hash.digest("hex"),
      async *open() {
        if (path === undefined) yield* chunks;
        else yield* createReadStream(path);
      },
      discard: () => this.discard(),
    };
  }

  discard(): void {
    this.#chunks = [];
    void this.#file?.close().catch(() => undefined);
    this.#file = undefined;
    if (this.#directory !== undefined) rmSync(this.#directory, { recursive: true, force: true });
  }

  get #path(): string | undefined {
    return this.#directory === undefined ? undefined : join(this.#directory, "archive");
  }

  async #openFile(): Promise<FileHandle> {
    this.#directory = mkdtempSync(join(tmpdir(), "agb-sync-"));
    const file = await open(join(this.#directory, "archive"), "wx", 0o600);
    this.#file = file;
    for (const chunk of this.#chunks.splice(0)) await file.writeFile(chunk);
    return file;
  }

  /** A disk that is full here is not the session's, and no fault of ours. */
  async #onDisk(work: () => Promise<unknown>): Promise<void> {
    try {
      await work();
    } catch (cause) {
      const isFull = hasErrno(cause, "ENOSPC", "EDQUOT", "EFBIG");
      const reason = isFull ? "no space is left" : messageOf(cause);
      throw new AgbSyncError("LOCAL_FAILED", `cannot pack the contents in ${tmpdir()} of this machine: ${reason}`, {
        hint: "free some space there, or set TMPDIR to a directory with more",
        cause,
      });
    }
  }
}
