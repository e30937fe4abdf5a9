import type { BigIntStats } from "node:fs";
import { closeSync, constants, fstatSync, lstatSync, openSync, readSync } from "node:fs";
import { hasErrno } from "../../errors.ts";
import type { Digest } from "../../tree/digest.ts";
import { DigestStream, digestOf } from "../../tree/digest.ts";
import type { Turns } from "./turns.ts";

/** What tells versions of a file apart. */
export type SessionFileVersion = Pick<BigIntStats, "size" | "mtimeNs" | "ctimeNs" | "ino">;

/** What one reading of a file found: its digest, when the reading began, and which version it was after it. */
export type Reading = { readonly digest: Digest; readonly version: SessionFileVersion; readonly readAtMs: number };

/** Files below this size are read in one go. */
const SMALL_BYTES = 64 * 1024;
const CHUNK_BYTES = 1024 * 1024;
/** How often a file that changes under the reader is read again. */
const ATTEMPTS = 5;

const shared = Buffer.allocUnsafe(CHUNK_BYTES);

/** Opens what is at `localPath` for reading; undefined for a link or a socket. */
export function openUnfollowed(localPath: string): number | undefined {
  try {
    return openSync(localPath, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    if (hasErrno(error, "ELOOP", "ENXIO")) return undefined;
    throw error;
  }
}

/** Reads a small regular file in one go; undefined for anything else, and for a file that is being changed. */
export function hashSmall(localPath: string, before = lstatSync(localPath, { bigint: true })): Reading | undefined {
  if (!before.isFile() || before.size >= SMALL_BYTES) return undefined;
  const reading = hashOwn(localPath);
  return reading !== undefined && isSame(before, reading.version) ? reading : undefined;
}

/** The same without a look beforehand: for a file that this process has just written. */
export function hashOwn(localPath: string): Reading | undefined {
  const readAtMs = Date.now();
  const descriptor = openUnfollowed(localPath);
  if (descriptor === undefined) return undefined;
  try {
    const sizeBytes = readSync(descriptor, shared, 0, SMALL_BYTES, 0);
    const version = fstatSync(descriptor, { bigint: true });
    if (sizeBytes === SMALL_BYTES || BigInt(sizeBytes) !== version.size) return undefined;
    return { digest: digestOf(shared.subarray(0, sizeBytes)), version, readAtMs };
  } finally {
    closeSync(descriptor);
  }
}

/** Reads an open file of any size, giving way between the pieces; undefined when it does not hold still. */
export async function hashLarge(descriptor: number, turns: Turns, signal: AbortSignal): Promise<Reading | undefined> {
  let before = fstatSync(descriptor, { bigint: true });
  for (let attempt = 1; before.isFile() && attempt <= ATTEMPTS; attempt += 1) {
    const readAtMs = Date.now();
    const stream = new DigestStream();
    while (stream.sizeBytes <= before.size) {
      await turns.next();
      signal.throwIfAborted();
      const sizeBytes = readSync(descriptor, shared, 0, CHUNK_BYTES, stream.sizeBytes);
      if (sizeBytes === 0) break;
      stream.update(shared.subarray(0, sizeBytes));
    }
    const version = fstatSync(descriptor, { bigint: true });
    if (isSame(before, version) && BigInt(stream.sizeBytes) === version.size) {
      return { digest: stream.digest(), version, readAtMs };
    }
    before = version;
  }
  return undefined;
}

function isSame(before: SessionFileVersion, after: SessionFileVersion): boolean {
  return (
    before.ctimeNs === after.ctimeNs &&
    before.mtimeNs === after.mtimeNs &&
    before.size === after.size &&
    before.ino === after.ino
  );
}
