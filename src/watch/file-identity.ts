import type { Stats } from "node:fs";
import { lstatSync, statSync } from "node:fs";

/** What is at a local path, not following a link; undefined when that cannot be said. */
export function statsOf(path: string): Stats | undefined {
  try {
    return lstatSync(path);
  } catch {
    // Gone, or out of reach: either way nothing is known of it.
    return undefined;
  }
}

/** What tells a directory from another one that takes its name, reached through links or not; undefined: there is none. */
export function directoryIdentity(path: string): string | undefined {
  try {
    const stats = statSync(path, { bigint: true });
    // Inode numbers are used again at once; the time of birth is not.
    return stats.isDirectory() ? `${stats.dev} ${stats.ino} ${stats.birthtimeNs}` : undefined;
  } catch {
    return undefined;
  }
}
