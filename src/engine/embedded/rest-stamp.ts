import { readCacheFile, writeCacheFile } from "../../cache-file.ts";
import type { Transport } from "../../transport/transport.ts";
import { digestOf } from "../../tree/digest.ts";
import type { ScanRequest } from "../engine.ts";
import { youngestNs } from "./find-listing.ts";
import { isRacy } from "./session-index.ts";

/**
 * Whether a session is as it was when a scan last found it as declared. `set` says that it is so by a listing that was
 * begun then; where something had changed so shortly before that a later change could look the same, it does nothing.
 */
export type RestStamp = { readonly holds: boolean; readonly set: (begunMs: number) => void };

/** Base and the journal as they are stored, and what find printed after they were read. */
export type Seen = {
  readonly base: string | undefined;
  readonly journal: string | undefined;
  readonly listed: Buffer | undefined;
};

/**
 * Kept on this machine, as a scan changes nothing in the session. It is one digest over everything that the answer
 * `unchanged` depends on: what is asked, base, and the listing with the times of all files. Undefined where that answer
 * is not to be had, or nothing may be kept.
 */
export function restStamp(
  cacheDirectory: string | undefined,
  { sessionId, root }: Pick<Transport, "sessionId" | "root">,
  { expected, needsUnmanaged, ignorePatterns, checksum }: ScanRequest,
  { base, journal, listed }: Seen,
): RestStamp | undefined {
  if (cacheDirectory === undefined || expected === undefined || checksum) return undefined;
  if (base === undefined || journal !== undefined || listed === undefined) return undefined;
  const owner = JSON.stringify([sessionId, root]);
  const parts = [sessionId, root, expected, needsUnmanaged, ignorePatterns, digestOf(base), digestOf(listed)];
  const stamp = digestOf(JSON.stringify(parts));
  return {
    holds: readCacheFile(cacheDirectory, "rest", owner) === stamp,
    set: (begunMs) => {
      if (!isRacy(youngestNs(listed), begunMs)) writeCacheFile(cacheDirectory, "rest", owner, stamp);
    },
  };
}
