import type { BigIntStats } from "node:fs";
import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs";
import { open } from "node:fs/promises";
import { AgbSyncError } from "../errors.ts";
import type { Content } from "../tree/content.ts";
import type { Digest } from "../tree/digest.ts";
import { DigestStream, digestOf } from "../tree/digest.ts";
import { keyOf } from "./source-cache.ts";

/** Read at a time: large enough for speed, small enough that sixteen of them do not matter. */
const CHUNK_BYTES = 1024 * 1024;
/** How often a file that changes under the reader is read again (S24). */
const ATTEMPTS = 5;

const shared = Buffer.allocUnsafe(CHUNK_BYTES);

/** One consistent reading of a local file. `bytes` are kept only when the file is at most `keepBytes` long. */
export type LocalReading = { readonly digest: Digest; readonly stats: BigIntStats; readonly bytes: Buffer | undefined };

/**
 * Reads and hashes a file synchronously (several times faster than promises for many small files); a file that
 * changes meanwhile is read again.
 * @throws {AgbSyncError} `SOURCE_CHANGED` when it does not hold still, and whatever the file system says.
 */
export function readLocalFile(localPath: string, keepBytes: number): LocalReading {
  for (let attempt = 1; attempt <= ATTEMPTS; attempt += 1) {
    const descriptor = openSync(localPath, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      const before = fstatSync(descriptor, { bigint: true });
      const reading = readAll(descriptor, Number(before.size), keepBytes);
      const after = fstatSync(descriptor, { bigint: true });
      if (keyOf(before) === keyOf(after) && reading.sizeBytes === Number(after.size)) {
        return { digest: reading.digest, stats: after, bytes: reading.bytes };
      }
    } finally {
      closeSync(descriptor);
    }
  }
  throw changed(localPath);
}

/** The content of a local file whose digest is known: streamed anew at every `open`, and checked while it is. */
export function localContent(localPath: string, digest: Digest, sizeBytes: number, sensitive: boolean): Content {
  return {
    digest,
    sizeBytes,
    sensitive,
    async *open() {
      if (sizeBytes <= SMALL_BYTES) {
        yield readSmall(localPath, digest);
        return;
      }
      const file = await open(localPath, constants.O_RDONLY | constants.O_NONBLOCK);
      try {
        const stream = new DigestStream();
        while (stream.sizeBytes <= sizeBytes) {
          const chunk = Buffer.allocUnsafe(Math.min(CHUNK_BYTES, sizeBytes - stream.sizeBytes + 1));
          const { bytesRead } = await file.read(chunk, 0, chunk.byteLength);
          if (bytesRead === 0) break;
          const read = chunk.subarray(0, bytesRead);
          stream.update(read);
          if (stream.sizeBytes > sizeBytes) throw changed(localPath);
          yield read;
        }
        if (stream.digest() !== digest) throw changed(localPath);
      } finally {
        await file.close();
      }
    },
  };
}

/** Files up to this size are read in one go, without a turn of the event loop for each. */
const SMALL_BYTES = 64 * 1024;

function readSmall(localPath: string, digest: Digest): Uint8Array {
  const reading = readLocalFile(localPath, SMALL_BYTES);
  if (reading.digest !== digest || reading.bytes === undefined) throw changed(localPath);
  return reading.bytes;
}

/** Content that is held in memory. */
export function memoryContent(bytes: Buffer, sensitive: boolean, digest: Digest = digestOf(bytes)): Content {
  return {
    digest,
    sizeBytes: bytes.byteLength,
    sensitive,
    async *open() {
      if (bytes.byteLength > 0) yield bytes;
    },
  };
}

function readAll(descriptor: number, expectedBytes: number, keepBytes: number) {
  const stream = new DigestStream();
  if (expectedBytes < CHUNK_BYTES) {
    const bytesRead = fill(descriptor, shared);
    if (bytesRead < CHUNK_BYTES) {
      const read = shared.subarray(0, bytesRead);
      const bytes = bytesRead <= keepBytes ? Buffer.from(read) : undefined;
      return { digest: digestOf(read), sizeBytes: bytesRead, bytes };
    }
    stream.update(shared);
  }
  for (let bytesRead = readSync(descriptor, shared); bytesRead > 0; bytesRead = readSync(descriptor, shared)) {
    stream.update(shared.subarray(0, bytesRead));
  }
  return { digest: stream.digest(), sizeBytes: stream.sizeBytes, bytes: undefined };
}

/** Fills `buffer` as far as the file goes. */
function fill(descriptor: number, buffer: Buffer): number {
  let filled = 0;
  while (filled < buffer.byteLength) {
    const bytesRead = readSync(descriptor, buffer, filled, buffer.byteLength - filled, null);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return filled;
}

function changed(localPath: string): AgbSyncError {
  return new AgbSyncError("SOURCE_CHANGED", `${localPath} changed while it was read`, {
    hint: "apply again when it is no longer written to",
  });
}
