import type { Stats } from "node:fs";

/** What is known of one version of a local file; thousands of these take a tenth of the memory of what stat gives. */
export type FileVersion = {
  /** Differs between two versions: size, mtime, ctime and inode (W31). */
  readonly key: string;
  readonly sizeBytes: number;
  readonly mode: number;
  /** When content, name or permissions were last changed, by the clock of the file system. */
  readonly changedMs: number;
};

export function versionOf(stats: Stats): FileVersion {
  return {
    key: keyOf(stats),
    sizeBytes: stats.size,
    mode: stats.mode,
    changedMs: Math.floor(stats.ctimeMs),
  };
}

/**
 * What differs between two versions of a file. Milliseconds with a fraction tell times apart that lie a quarter of a
 * microsecond from one another.
 */
export function keyOf(stats: Stats): string {
  return `${stats.size} ${stats.mtimeMs} ${stats.ctimeMs} ${stats.ino}`;
}
