import { mkdirSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { hasErrno } from "./errors.ts";

/**
 * Makes a directory and those above it that are missing. In place of `mkdir` with `recursive`, which never ends where a file
 * system says "not there" to every name (`/proc`; nodejs/node, mkdirp).
 * @throws what the file system says.
 */
export function makeDirectories(path: string, mode?: number): void {
  try {
    mkdirSync(path, mode);
  } catch (error) {
    if (hasErrno(error, "EEXIST", "EROFS", "EISDIR") && isDirectory(path)) return;
    const above = dirname(path);
    if (!hasErrno(error, "ENOENT") || above === path || isDirectory(above)) throw error;
    makeDirectories(above, mode);
    makeDirectories(path, mode);
  }
}

function isDirectory(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
}
