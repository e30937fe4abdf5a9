import { closeSync, constants, fstatSync, lstatSync, openSync, readSync, statSync } from "node:fs";
import { hasErrno, messageOf } from "../errors.ts";

/** What became of reading a file: its bytes, or why there are none. */
export type RegularFile =
  | { readonly kind: "read"; readonly bytes: Buffer }
  | { readonly kind: "absent" }
  /** Something that is no regular file: `a directory`, `a FIFO`, `a link to nothing`. It was not opened. */
  | { readonly kind: "odd"; readonly what: string }
  | { readonly kind: "too-large" }
  | { readonly kind: "unreadable"; readonly reason: string };

/**
 * Reads a regular file of at most `maxBytes`; links are followed. Never waits: what could (a FIFO without a writer, a
 * device) is not opened, or given up when it took the place of a file meanwhile.
 */
export function readRegularFile(path: string, maxBytes: number): RegularFile {
  const odd = oddKindOf(path);
  if (odd !== undefined) return odd;
  try {
    const descriptor = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      if (!fstatSync(descriptor).isFile()) return { kind: "odd", what: "not a file any more" };
      return readAtMost(descriptor, maxBytes);
    } finally {
      closeSync(descriptor);
    }
  } catch (error) {
    return faultOf(error);
  }
}

/** Why the path is no regular file that could be read; undefined when it is one. Opens nothing. */
export function oddKindOf(path: string): Exclude<RegularFile, { readonly kind: "read" }> | undefined {
  try {
    const stats = statSync(path);
    if (stats.isFile()) return undefined;
    if (stats.isDirectory()) return { kind: "odd", what: "a directory" };
    return { kind: "odd", what: stats.isFIFO() ? "a FIFO" : stats.isSocket() ? "a socket" : "a device" };
  } catch (error) {
    if (hasErrno(error, "ELOOP")) return { kind: "odd", what: "a link that leads in a circle" };
    if (hasErrno(error, "ENOENT") && isLink(path)) return { kind: "odd", what: "a link to nothing" };
    return faultOf(error);
  }
}

function readAtMost(descriptor: number, maxBytes: number): RegularFile {
  // By what it gives, not by its size: files of /proc say 0, and one that grows says less than it holds.
  const chunks: Buffer[] = [];
  for (let total = 0; ; ) {
    const chunk = Buffer.allocUnsafe(Math.min(64 * 1024, maxBytes - total + 1));
    const bytesRead = readSync(descriptor, chunk, 0, chunk.byteLength, null);
    if (bytesRead === 0) return { kind: "read", bytes: Buffer.concat(chunks) };
    total += bytesRead;
    if (total > maxBytes) return { kind: "too-large" };
    chunks.push(chunk.subarray(0, bytesRead));
  }
}

function faultOf(error: unknown): Exclude<RegularFile, { readonly kind: "read" }> {
  // The last: a path with a NUL character.
  if (hasErrno(error, "ENOENT", "ENOTDIR", "ENAMETOOLONG", "ERR_INVALID_ARG_VALUE")) return { kind: "absent" };
  const isDenied = hasErrno(error, "EACCES", "EPERM");
  return { kind: "unreadable", reason: isDenied ? "permission denied" : messageOf(error) };
}

function isLink(path: string): boolean {
  try {
    return lstatSync(path).isSymbolicLink();
  } catch {
    return false;
  }
}
