import { closeSync, fstatSync, read, readSync } from "node:fs";
import { promisify } from "node:util";
import { AgbSyncError, hasErrno } from "../errors.ts";
import type { Content } from "../tree/content.ts";
import type { Digest } from "../tree/digest.ts";
import { DigestStream, digestOf } from "../tree/digest.ts";
import type { FileVersion } from "./file-version.ts";
import { keyOf, versionOf } from "./file-version.ts";
import { MovedSourceError, openSourceFile } from "./source-door.ts";

/** Read at a time: large enough for speed, small enough that sixteen of them do not matter. */
const CHUNK_BYTES = 1024 * 1024;
/** How often a file that changes under the reader is read again (S24). */
const ATTEMPTS = 5;

const shared = Buffer.allocUnsafe(CHUNK_BYTES);

/** One consistent reading of a local file. `bytes` are there only when the file is at most `keepBytes` long. */
export type LocalReading = {
  readonly digest: Digest;
  readonly version: FileVersion;
  readonly bytes: Buffer | undefined;
};

/** `SOURCE_CHANGED`: a file that did not hold still while it was read, or is no longer what was hashed. */
export class SourceChangedError extends AgbSyncError {
  override readonly name = "SourceChangedError";
  readonly localPath: string;

  constructor(localPath: string) {
    super("SOURCE_CHANGED", `${localPath} changed while it was read`, {
      hint: "apply again when it is no longer written to",
    });
    this.localPath = localPath;
  }
}

/** The file that did not hold still, wherever in a chain of causes that is said. */
export function changedSource(error: unknown): string | undefined {
  for (let current = error; current instanceof Error; current = current.cause) {
    if (current instanceof SourceChangedError) return current.localPath;
  }
  return undefined;
}

export type LocalReadOptions = {
  /** How often it is tried. */
  readonly attempts?: number;
  /** The version that was seen a moment ago: where it still holds, it need not be asked for again. */
  readonly listed?: FileVersion;
  /** Where it lies without links; the local path itself if not given. Nothing else is ever opened (S26). */
  readonly realPath?: string;
};

/**
 * Reads and hashes a file synchronously (several times faster than promises for many small files); a file that
 * changes meanwhile is read again. `bytes` are kept up to `keepBytes`.
 * @throws {SourceChangedError} when it does not hold still, and whatever the file system says.
 */
export function readLocalFile(
  localPath: string,
  keepBytes: number,
  { attempts = ATTEMPTS, listed, realPath = localPath }: LocalReadOptions = {},
): LocalReading {
  for (let attempt = listed === undefined ? 1 : 0; attempt <= attempts; attempt += 1) {
    const descriptor = openOrMoved(realPath);
    if (descriptor === undefined) continue;
    try {
      const before = attempt === 0 && listed !== undefined ? listed : versionOf(fstatSync(descriptor));
      const reading = readAll(descriptor, before.sizeBytes, keepBytes);
      const after = fstatSync(descriptor);
      if (before.key === keyOf(after) && reading.sizeBytes === before.sizeBytes) {
        return { digest: reading.digest, version: before, bytes: reading.bytes };
      }
    } finally {
      closeSync(descriptor);
    }
  }
  throw new SourceChangedError(localPath);
}

/** Undefined when another file is taking its place this very moment. */
function openOrMoved(realPath: string): number | undefined {
  try {
    return openSourceFile(realPath);
  } catch (error) {
    if (error instanceof MovedSourceError) return undefined;
    throw error;
  }
}

/** For what was hashed before: that it is gone is one more way to have changed since. */
function orChanged<T>(localPath: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw hasErrno(error, "ENOENT", "ENOTDIR") || error instanceof MovedSourceError
      ? new SourceChangedError(localPath)
      : error;
  }
}

/**
 * The content of a local file whose digest is known: streamed anew at every `open`, and checked while it is. It is
 * opened where it lies without links, and nowhere else.
 */
export function localContent(
  localPath: string,
  digest: Digest,
  sizeBytes: number,
  sensitive: boolean,
  realPath = localPath,
): Content {
  return {
    digest,
    sizeBytes,
    sensitive,
    async *open() {
      if (sizeBytes <= SMALL_BYTES) {
        yield readSmall(localPath, digest, realPath);
        return;
      }
      const descriptor = orChanged(localPath, () => openSourceFile(realPath));
      try {
        const stream = new DigestStream();
        while (stream.sizeBytes <= sizeBytes) {
          const chunk = Buffer.allocUnsafe(Math.min(CHUNK_BYTES, sizeBytes - stream.sizeBytes + 1));
          const { bytesRead } = await readAsync(descriptor, chunk, 0, chunk.byteLength, null);
          if (bytesRead === 0) break;
          const bytes = chunk.subarray(0, bytesRead);
          stream.update(bytes);
          if (stream.sizeBytes > sizeBytes) throw new SourceChangedError(localPath);
          yield bytes;
        }
        if (stream.digest() !== digest) throw new SourceChangedError(localPath);
      } finally {
        closeSync(descriptor);
      }
    },
  };
}

const readAsync = promisify(read);

/** Files up to this size are read in one go, without a turn of the event loop for each. */
const SMALL_BYTES = 64 * 1024;

function readSmall(localPath: string, digest: Digest, realPath: string): Uint8Array {
  const reading = orChanged(localPath, () => readLocalFile(localPath, SMALL_BYTES, { realPath }));
  if (reading.digest !== digest || reading.bytes === undefined) throw new SourceChangedError(localPath);
  return reading.bytes;
}

function readAll(descriptor: number, expectedBytes: number, keepBytes: number) {
  if (expectedBytes < CHUNK_BYTES) {
    const bytesRead = fill(descriptor, shared, expectedBytes);
    if (bytesRead <= expectedBytes) {
      const read = shared.subarray(0, bytesRead);
      const bytes = bytesRead <= keepBytes ? Buffer.from(read) : undefined;
      return { digest: digestOf(read), sizeBytes: bytesRead, bytes };
    }
  }
  const stream = new DigestStream();
  const kept: Buffer[] | undefined = expectedBytes <= keepBytes ? [] : undefined;
  // From the start, whatever was filled above; a file that grows meanwhile is not followed to its end.
  for (let offset = 0; offset <= expectedBytes; ) {
    const bytesRead = readSync(descriptor, shared, 0, shared.byteLength, offset);
    if (bytesRead === 0) break;
    offset += bytesRead;
    const read = shared.subarray(0, bytesRead);
    stream.update(read);
    kept?.push(Buffer.from(read));
  }
  const bytes = kept !== undefined && stream.sizeBytes <= keepBytes ? Buffer.concat(kept) : undefined;
  return { digest: stream.digest(), sizeBytes: stream.sizeBytes, bytes };
}

/** Reads as far as the file goes, but no more than one byte above what is expected of it. */
function fill(descriptor: number, buffer: Buffer, expectedBytes: number): number {
  let filled = 0;
  for (;;) {
    const wanted = expectedBytes + 1 - filled;
    const bytesRead = readSync(descriptor, buffer, filled, wanted, null);
    filled += bytesRead;
    if (bytesRead === 0 || filled > expectedBytes) return filled;
    // Less than was asked for: it most likely ends here. Whether it does, its size tells.
    if (bytesRead < wanted && filled === expectedBytes) return filled;
  }
}
