import { readCacheFile, writeCacheFile } from "../../cache-file.ts";
import type { Transport } from "../../transport/transport.ts";
import { digestOf, hexOf } from "../../tree/digest.ts";
import type { ScanRequest } from "../engine.ts";

/** Whether a session is as it was when a scan last found it as declared; `set` says that it is so now. */
export type RestStamp = { readonly holds: boolean; readonly set: () => void };

/**
 * Kept on this machine, as a scan changes nothing in the session. It is one digest over everything that the answer
 * `unchanged` depends on: what is asked, base, and the listing with the times of all files.
 */
export function restStamp(
  cacheDirectory: string,
  { sessionId, root }: Pick<Transport, "sessionId" | "root">,
  { expected, needsUnmanaged, ignorePatterns, checksum }: ScanRequest,
  { base, listed }: { readonly base: string; readonly listed: Buffer },
): RestStamp | undefined {
  if (expected === undefined || checksum) return undefined;
  const name = `rest-${hexOf(digestOf(JSON.stringify([sessionId, root]))).slice(0, 16)}`;
  const parts = [sessionId, root, expected, needsUnmanaged, ignorePatterns, digestOf(base), digestOf(listed)];
  const stamp = digestOf(JSON.stringify(parts));
  return {
    holds: readCacheFile(cacheDirectory, name) === stamp,
    set: () => writeCacheFile(cacheDirectory, name, stamp),
  };
}
