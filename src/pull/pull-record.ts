import { readCacheFile, writeCacheFile } from "../cache-file.ts";

/** What was pulled to one place, so that what changed there since is known: a digest, or `link ` and a target. */
export type PullRecord = ReadonlyMap<string, string>;

/** What was pulled into a directory; empty when nobody knows, and then what is there counts as changed. */
export function readPullRecord(cacheDirectory: string | undefined, target: string): PullRecord {
  const text = cacheDirectory === undefined ? undefined : readCacheFile(cacheDirectory, "pulls", target);
  try {
    const data: unknown = JSON.parse(text ?? "[]");
    const pairs: unknown[] = Array.isArray(data) ? data : [];
    return new Map(pairs.filter(isPair));
  } catch {
    return new Map();
  }
}

export function writePullRecord(cacheDirectory: string | undefined, target: string, record: PullRecord): void {
  if (cacheDirectory !== undefined) writeCacheFile(cacheDirectory, "pulls", target, JSON.stringify([...record]));
}

function isPair(data: unknown): data is [string, string] {
  return Array.isArray(data) && data.length === 2 && data.every((part) => typeof part === "string");
}
