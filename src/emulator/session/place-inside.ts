import { closeSync, constants, lstatSync, openSync, readlinkSync, type Stats } from "node:fs";
import { join } from "node:path";
import { hasErrno } from "../../errors.ts";
import { SessionFilesError } from "./session-files-error.ts";
import { homeDirectory } from "./session-tree.ts";

/** Opens a directory only to reach what is in it; not in node:fs, the same number on every Linux. */
const oPath = process.platform === "linux" ? 0o10000000 : 0;
const openDirectory = oPath | constants.O_DIRECTORY | constants.O_NOFOLLOW;
const maxLinks = 40;

/** One name in one directory of a session, held open: nothing done in the session meanwhile can make it elsewhere. */
export type Place = {
  /** A path for node:fs; its last component is never a link that was followed. */
  readonly path: string;
  /** The directory that holds it, as a path for node:fs. */
  readonly parent: string;
  /** What was there when it was found; undefined if nothing. */
  readonly stats: Stats | undefined;
  /** Frees the directory. Call it once; `path` means nothing afterwards. */
  close(): void;
};

/**
 * Finds `sessionPath` below `tree` as chroot(2) would: links, also absolute ones, and `..` stay inside. Each directory
 * is opened from the one before it without following links, so a session that swaps directories for links while this
 * runs gains nothing. Relative paths begin at the home directory.
 * `follow`: a link as last component is followed, a dangling one to the place where its target would be.
 * @throws {SessionFilesError} ENOENT (a directory on the way), ENOTDIR, ELOOP, EACCES, ENAMETOOLONG, EINVAL (NUL).
 */
export function placeInside(tree: string, sessionPath: string, follow: boolean): Place {
  if (sessionPath.includes("\0")) throw new SessionFilesError("EINVAL");
  const absolute = sessionPath.startsWith("/") ? sessionPath : `${homeDirectory}/${sessionPath}`;
  const walk = new PathWalk(tree);
  try {
    return walk.to(absolute, follow);
  } catch (error) {
    walk.close();
    throw error;
  }
}

class PathWalk {
  private readonly tree: string;
  private readonly descriptors: number[] = [];
  private readonly names: string[] = [];
  private links = 0;

  constructor(tree: string) {
    this.tree = tree;
  }

  to(sessionPath: string, follow: boolean): Place {
    const pending = partsOf(sessionPath);
    for (let name = pending.pop(); name !== undefined; name = pending.pop()) {
      if (name === "..") {
        this.leave();
        continue;
      }
      const isLast = pending.length === 0;
      if (!isLast && this.enter(name)) continue;
      const parent = this.here();
      const path = `${parent}/${name}`;
      const stats = lstatSync(path, { throwIfNoEntry: false });
      if (stats?.isSymbolicLink() && (follow || !isLast)) {
        this.redirect(readlinkSync(path), pending);
        continue;
      }
      if (isLast) return { path, parent, stats, close: () => this.close() };
      throw new SessionFilesError(stats === undefined ? "ENOENT" : "ENOTDIR");
    }
    const parent = this.here();
    return { path: `${parent}/.`, parent, stats: lstatSync(`${parent}/.`), close: () => this.close() };
  }

  /** True if `name` is a directory, which is then entered; false for links and for what is no directory. */
  private enter(name: string): boolean {
    if (oPath === 0) {
      // Without O_PATH and /proc the walk is by name; such systems offer no shell that could race with it.
      if (!lstatSync(`${this.here()}/${name}`, { throwIfNoEntry: false })?.isDirectory()) return false;
      this.names.push(name);
      return true;
    }
    try {
      this.descriptors.push(openSync(`${this.here()}/${name}`, openDirectory));
      return true;
    } catch (error) {
      if (hasErrno(error, "ENOTDIR", "ELOOP", "ENOENT")) return false;
      throw error;
    }
  }

  private redirect(target: string, pending: string[]): void {
    this.links += 1;
    if (this.links > maxLinks) throw new SessionFilesError("ELOOP");
    if (target.startsWith("/")) this.close();
    pending.push(...partsOf(target));
  }

  private leave(): void {
    const descriptor = this.descriptors.pop();
    if (descriptor !== undefined) closeSync(descriptor);
    this.names.pop();
  }

  private here(): string {
    const descriptor = this.descriptors.at(-1);
    if (descriptor !== undefined) return `/proc/self/fd/${descriptor}`;
    return this.names.length === 0 ? this.tree : join(this.tree, ...this.names);
  }

  close(): void {
    for (const descriptor of this.descriptors.splice(0)) closeSync(descriptor);
    this.names.length = 0;
  }
}

/** The components of a path, last first. */
function partsOf(path: string): string[] {
  return path
    .split("/")
    .filter((part) => part !== "" && part !== ".")
    .toReversed();
}
