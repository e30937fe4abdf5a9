import type { BigIntStats } from "node:fs";
import type { Digest } from "../tree/digest.ts";

/** Changes younger than this when they were hashed may have a twin with the same times: hashed again (W31). */
const RACY_MS = 50;

type Known = { readonly key: string; readonly digest: Digest };

/** Digests of local files by what tells versions apart: size, mtime, ctime and inode. For watch, which reads again and again. */
export class SourceCache {
  readonly #known = new Map<string, Known>();

  /** The digest of the file as `stats` saw it, if that version was hashed before. */
  find(localPath: string, stats: BigIntStats): Digest | undefined {
    const known = this.#known.get(localPath);
    return known !== undefined && known.key === keyOf(stats) ? known.digest : undefined;
  }

  remember(localPath: string, stats: BigIntStats, digest: Digest): void {
    const ageMs = Date.now() - Number(stats.ctimeNs / 1_000_000n);
    if (ageMs > RACY_MS) this.#known.set(localPath, { key: keyOf(stats), digest });
    else this.#known.delete(localPath);
  }
}

/** What differs between two versions of a file. */
export function keyOf(stats: BigIntStats): string {
  return `${stats.size} ${stats.mtimeNs} ${stats.ctimeNs} ${stats.ino}`;
}
