import { linkSync, lstatSync, renameSync, rmSync, unlinkSync } from "node:fs";
import { hasErrno, TransportError } from "../../errors.ts";

/**
 * Renames a file, link or directory to a name that is free. The link call refuses a name that is taken, however late
 * it was; for directories, and where links cannot be made, a look beforehand has to do.
 * @throws {TransportError} `ALREADY_EXISTS`, or what the file system says: then everything is as it was.
 */
export function renameWithoutReplacing(source: string, target: string): void {
  const { isLinkable, ino, dev } = lookAt(source);
  if (!isLinkable || !linked(source, target)) {
    renameToFreeName(source, target);
    return;
  }
  try {
    unlinkSync(source);
  } catch (error) {
    if (hasErrno(error, "ENOENT")) return;
    // Two names of one file would change together: the new one goes again, unless it is another's by now.
    const there = lstatSync(target, { throwIfNoEntry: false });
    if (there?.ino === ino && there.dev === dev) unlinkSync(target);
    throw error;
  }
}

/** Renames in one step. For names that nobody else makes: what is at `source` at that moment, and nothing else, moves. */
export function renameToFreeName(source: string, target: string): void {
  if (lstatSync(target, { throwIfNoEntry: false }) !== undefined) {
    throw new TransportError("ALREADY_EXISTS", "the target of the move exists");
  }
  renameSync(source, target);
}

function lookAt(source: string) {
  const stats = lstatSync(source);
  return { isLinkable: !stats.isDirectory(), ino: stats.ino, dev: stats.dev };
}

/** False where this file or this file system allows no second name. */
function linked(source: string, target: string): boolean {
  try {
    linkSync(source, target);
    return true;
  } catch (error) {
    if (hasErrno(error, "EPERM", "EOPNOTSUPP", "ENOSYS", "EMLINK")) return false;
    throw error;
  }
}

/** A second name for what is about to be replaced; where the file system has none, the thing itself. */
export function keepAside(target: string, kept: string): void {
  if (lstatSync(target, { throwIfNoEntry: false }) === undefined) return;
  rmSync(kept, { force: true });
  try {
    linkSync(target, kept);
  } catch {
    renameSync(target, kept);
  }
}
