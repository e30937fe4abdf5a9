import type { Dirent, Stats } from "node:fs";
import { join, posix, sep } from "node:path";
import { AgbSyncError, hasErrno, messageOf } from "../errors.ts";
import type { IgnoreMatcher } from "../manifest/ignore-matcher.ts";
import { ignoreMatcher } from "../manifest/ignore-matcher.ts";
import type { TreeSpec } from "../manifest/manifest.ts";
import { EMULATOR_FILE, SESSION_FILE } from "../tree/own-files.ts";
import type { WorkspacePath } from "../tree/workspace-path.ts";
import { childPath, comparePaths, isStatePath, STATE_DIRECTORY, workspacePathFault } from "../tree/workspace-path.ts";
import type { FileVersion } from "./file-version.ts";
import { versionOf } from "./file-version.ts";
import { GitignoreStack } from "./gitignore-stack.ts";
import { isGone, lookAtSource } from "./look-at-source.ts";
import type { DirectoryIdentities } from "./own-directories.ts";
import type { SourceDoor } from "./source-door.ts";
import { enterSourceDirectory, MovedSourceError } from "./source-door.ts";
import type { SourceHolder } from "./source-holder.ts";

/** One entry of a local tree, with the place that it gets in the workspace. */
export type SourceEntry =
  | { readonly kind: "directory"; readonly path: WorkspacePath; readonly localPath: string }
  | { readonly kind: "file"; readonly path: WorkspacePath; readonly localPath: string; readonly version: FileVersion }
  | { readonly kind: "link"; readonly path: WorkspacePath; readonly target: string };

/** A local directory, where it lies in its tree (`""` is the top), and the place that it gets in the workspace. */
export type SourceDirectory = { readonly localPath: string; readonly inner: string; readonly path: WorkspacePath };

export type SourceWalk = {
  readonly entries: readonly SourceEntry[];
  /** Every directory that was listed, the top first. */
  readonly directories: readonly SourceDirectory[];
  /** Workspace paths that `exclude` or a `.gitignore` left out; of a directory only itself, not what is in it. */
  readonly leftOut: readonly WorkspacePath[];
  /** Workspace paths that the holder keeps back. */
  readonly held: readonly WorkspacePath[];
  readonly unreadable: readonly string[];
  readonly warnings: readonly string[];
};

export type WalkOptions = {
  readonly holder?: SourceHolder;
  /** Looks at the tree itself; default {@link lookAtSource}. */
  readonly lookAt?: typeof lookAtSource;
  /** Directories that agb-sync keeps for itself: left out wherever they turn up. */
  readonly own?: DirectoryIdentities;
  /** The lock file of the manifest, an absolute path without links: never part of a tree. */
  readonly lockFile?: string | undefined;
  /** Why a directory must not be entered; undefined when it may be. */
  readonly bar?: (localPath: string) => string | undefined;
  /** Without it the whole tree is walked. */
  readonly only?: WalkOnly;
};

/** What to look at again in a tree that was walked before. */
export type WalkOnly = {
  /** Directories whose entries are wanted, relative to the tree, `""` its top; what is not there any more is empty. */
  readonly directories: Iterable<string>;
  /** Directories in them that this answers true for (local path) are not entered. */
  readonly isKnown: (localPath: string) => boolean;
};

/** Where \`--local\` without a directory keeps its session, below the state directory. */
const DEFAULT_SESSION = join("local", SESSION_FILE);
/** More entries than this in one tree are a mistake (a home directory, a whole disk). */
const MAX_ENTRIES = 500_000;

/**
 * Lists a local tree in path order. What `ignore`, `exclude` and, if asked for, `.gitignore` files leave out is neither
 * opened nor stat'ed (S36, W24). Links that stay inside the tree become links; FIFOs, sockets and devices are skipped.
 * `manifestFile` is named in errors.
 * @throws {AgbSyncError} `SOURCE_MISSING`, `SOURCE_ESCAPES` for a link that leaves the tree (S26), `SOURCE_TOO_LARGE`.
 */
export function walkSourceTree(
  spec: TreeSpec,
  isIgnored: IgnoreMatcher,
  manifestFile: string,
  options: WalkOptions = {},
): SourceWalk {
  const { source, at } = spec;
  const place = `${manifestFile}:${at.line}`;
  const look = (options.lookAt ?? lookAtSource)(source, "directory");
  if (look.kind === "wrong") {
    throw new AgbSyncError("SOURCE_MISSING", `${look.message} (${place})`, { hint: look.hint });
  }
  if (look.kind === "unreadable") {
    const warnings = [`${source} cannot be read: ${look.reason}`];
    return { entries: [], directories: [], leftOut: [], held: [], unreadable: [source], warnings };
  }
  return new Walk(spec, look.realPath, isIgnored, place, options).run();
}

class Walk {
  readonly #spec: TreeSpec;
  readonly #isIgnored: IgnoreMatcher;
  readonly #isExcluded: IgnoreMatcher;
  /** Where the tree is declared. */
  readonly #place: string;
  readonly #options: WalkOptions;
  readonly #top: string;
  readonly #entries: SourceEntry[] = [];
  readonly #directories: SourceDirectory[] = [];
  readonly #leftOut: WorkspacePath[] = [];
  readonly #held: WorkspacePath[] = [];
  readonly #unreadable: string[] = [];
  readonly #warnings: string[] = [];
  /** Directories of agb-sync's own that were met. */
  #ownCount = 0;

  /** `top`: the tree itself may be reached through a link; what is in it may not leave it. */
  constructor(spec: TreeSpec, top: string, isIgnored: IgnoreMatcher, place: string, options: WalkOptions) {
    this.#spec = spec;
    this.#isIgnored = isIgnored;
    this.#isExcluded = ignoreMatcher(spec.exclude);
    this.#place = place;
    this.#options = options;
    this.#top = top;
  }

  run(): SourceWalk {
    const { path } = this.#spec;
    const { only } = this.#options;
    if (only === undefined) this.#visit("", path, this.#top, new GitignoreStack());
    for (const inner of only?.directories ?? []) {
      const rules = this.#rulesAbove(inner);
      if (rules === undefined) continue;
      this.#visit(inner, inner === "" ? path : childPath(path, inner), join(this.#top, inner), rules);
    }
    return {
      entries: this.#entries,
      directories: this.#directories,
      leftOut: this.#leftOut,
      held: this.#held,
      unreadable: this.#unreadable,
      warnings: this.#warnings,
    };
  }

  #visit(inner: string, path: WorkspacePath, localPath: string, outer: GitignoreStack): void {
    this.#directories.push({ localPath, inner, path });
    const door = this.#enter(localPath);
    if (door === undefined) return;
    try {
      this.#takeAll(door, { inner, path, localPath }, outer);
    } finally {
      door.close();
    }
  }

  #takeAll(door: SourceDoor, directory: SourceDirectory, outer: GitignoreStack): void {
    const { inner, path, localPath } = directory;
    const children = this.#list(door, localPath);
    if (children === undefined) return;
    const hasRules = this.#spec.gitignore && children.some((child) => child.name === ".gitignore" && child.isFile());
    const gitignore = hasRules ? this.#rulesIn(door, directory, outer) : outer;
    if (gitignore === undefined) return;
    for (const child of children) {
      const innerPath = inner === "" ? child.name : `${inner}/${child.name}`;
      const place = childPath(path, child.name);
      if (this.#isIgnored(place, child.isDirectory())) continue;
      if (this.#isLeftOut(child, innerPath, gitignore)) this.#leftOut.push(place);
      else if (this.#isOwn(door, child, `${localPath}${sep}${child.name}`)) {
        if (!isStatePath(place)) this.#leftOut.push(place);
      } else {
        const at = { inner: innerPath, path: place, localPath: `${localPath}${sep}${child.name}` };
        this.#take(door, child, at, gitignore);
      }
    }
  }

  #isLeftOut(child: Dirent, inner: string, gitignore: GitignoreStack): boolean {
    const isDirectory = child.isDirectory();
    if (this.#spec.gitignore && (child.name === ".git" || gitignore.isIgnored(inner, isDirectory))) return true;
    return this.#isExcluded(inner, isDirectory);
  }

  /** What agb-sync itself keeps, sessions on this machine first of all, which would come back with every apply (S46). */
  #isOwn(door: SourceDoor, child: Dirent, localPath: string): boolean {
    const { name } = child;
    if (!child.isDirectory() && localPath === this.#options.lockFile) return true;
    if (!child.isDirectory()) return name === SESSION_FILE || name === EMULATOR_FILE;
    const isThere = (inner: string) => statsOrNone(() => door.look(join(name, inner)))?.isFile() === true;
    const isState = name === STATE_DIRECTORY;
    const { own } = this.#options;
    const stats = own === undefined || own.size === 0 ? undefined : statsOrNone(() => door.look(name));
    const kind = stats === undefined ? undefined : own?.get(`${stats.dev} ${stats.ino}`);
    const hasSession = isThere(SESSION_FILE) || isThere(EMULATOR_FILE) || (isState && isThere(DEFAULT_SESSION));
    if (hasSession || kind === "sessions") {
      const what = hasSession ? "holds a session of agb-sync" : "is kept by agb-sync itself";
      this.#warnings.push(`${localPath} ${what} and is left out; name it in ignore: and this is not said again`);
    }
    const isOwn = isState || hasSession || kind !== undefined;
    if (isOwn) this.#ownCount += 1;
    return isOwn;
  }

  /** The rules that hold in a directory before its own `.gitignore` is read. */
  #rulesAbove(inner: string): GitignoreStack | undefined {
    let rules: GitignoreStack | undefined = new GitignoreStack();
    if (!this.#spec.gitignore || inner === "") return rules;
    const names = inner.split("/");
    for (let depth = 0; depth < names.length && rules !== undefined; depth += 1) {
      const above = names.slice(0, depth).join("/");
      const directory = { inner: above, path: childPath(this.#spec.path, above), localPath: join(this.#top, above) };
      const door = this.#enter(directory.localPath);
      if (door === undefined) return undefined;
      try {
        if (this.#look(door, ".gitignore", directory.localPath)?.isFile() === true)
          rules = this.#rulesIn(door, directory, rules);
      } finally {
        door.close();
      }
    }
    return rules;
  }

  /** Undefined when nobody knows what a directory leaves out: nothing in it may be sent then. */
  #rulesIn(door: SourceDoor, { inner, localPath }: SourceDirectory, outer: GitignoreStack): GitignoreStack | undefined {
    try {
      return outer.enter(inner, door.readText(".gitignore"));
    } catch (error) {
      if (isGone(error)) return outer;
      const file = join(localPath, ".gitignore");
      this.#unreadable.push(file);
      this.#warnings.push(`${file} cannot be read, so its directory is left out: ${messageOf(error)}`);
      return undefined;
    }
  }

  #take(door: SourceDoor, child: Dirent, at: SourceDirectory, gitignore: GitignoreStack): void {
    const { inner, path, localPath } = at;
    const fault = faultOf(child.name, path);
    if (fault !== undefined) {
      this.#unreadable.push(localPath);
      this.#warnings.push(`${localPath} ${fault} and is left out`);
      return;
    }
    if (this.#entries.length >= MAX_ENTRIES) {
      throw new AgbSyncError(
        "SOURCE_TOO_LARGE",
        `${this.#spec.source} holds more than ${MAX_ENTRIES} entries (${this.#place})`,
        {
          hint: "exclude what is not needed",
        },
      );
    }
    if (child.isDirectory()) {
      const [before, own] = [this.#entries.length, this.#ownCount];
      this.#entries.push({ kind: "directory", path, localPath });
      if (this.#options.only?.isKnown(localPath) !== true) this.#visit(inner, path, localPath, gitignore);
      // Made for what is left out, such as `build` by `--local build/session`: the next plan would want it.
      if (this.#ownCount > own && this.#entries.length === before + 1) {
        this.#entries.pop();
        this.#leftOut.push(path);
      }
    } else if (child.isFile()) {
      const version = this.#versionOf(door, child.name, localPath);
      if (version !== undefined && !this.#isTemporary(path, localPath, version))
        this.#entries.push({ kind: "file", path, localPath, version });
    } else if (child.isSymbolicLink()) {
      if (this.#isTemporaryLink(door, child.name, at)) return;
      const target = this.#target(door, child.name, at);
      if (target !== undefined) this.#entries.push({ kind: "link", path, target });
    } else {
      this.#warnings.push(`${localPath} is a socket, FIFO or device and is skipped`);
    }
  }

  #isTemporary(path: WorkspacePath, localPath: string, version: FileVersion): boolean {
    if (this.#options.holder?.isTemporary(path, localPath, version) !== true) return false;
    this.#held.push(path);
    return true;
  }

  #isTemporaryLink(door: SourceDoor, name: string, { path, localPath }: SourceDirectory): boolean {
    if (this.#options.holder === undefined) return false;
    const version = this.#versionOf(door, name, localPath);
    return version !== undefined && this.#isTemporary(path, localPath, version);
  }

  /** Undefined for a link that vanished since it was listed, or is held back. */
  #target(door: SourceDoor, name: string, { inner, path, localPath }: SourceDirectory): string | undefined {
    const target = this.#readLink(door, name, localPath);
    if (target === undefined) return undefined;
    const reached = posix.normalize(posix.join(posix.dirname(inner), target));
    if (!target.startsWith("/") && reached !== ".." && !reached.startsWith("../")) return target;
    const message = `${localPath} is a link to ${target}, which leaves its tree (${this.#place})`;
    const fault = new AgbSyncError("SOURCE_ESCAPES", message, {
      hint: "exclude it, or make it point inside the tree",
    });
    const { holder } = this.#options;
    if (holder === undefined) throw fault;
    holder.onFault(fault, path);
    this.#held.push(path);
    return undefined;
  }

  #readLink(door: SourceDoor, name: string, localPath: string): string | undefined {
    try {
      return door.readLink(name);
    } catch (error) {
      // EINVAL: something else stands there by now; the next look sees it.
      if (!isGone(error) && !hasErrno(error, "EINVAL")) this.#unreadable.push(localPath);
      return undefined;
    }
  }

  #versionOf(door: SourceDoor, name: string, localPath: string): FileVersion | undefined {
    const stats = this.#look(door, name, localPath);
    return stats === undefined ? undefined : versionOf(stats);
  }

  /** What vanished since it was listed is not there; what cannot be looked at is unreadable. */
  #look(door: SourceDoor, name: string, localPath: string): Stats | undefined {
    try {
      return door.look(name);
    } catch (error) {
      if (!isGone(error)) this.#unreadable.push(localPath);
      return undefined;
    }
  }

  /** Undefined for a directory that is gone, or that cannot be entered: then it is unreadable. */
  #enter(localPath: string): SourceDoor | undefined {
    const barred = this.#options.bar?.(localPath);
    if (barred !== undefined) {
      this.#unreadable.push(localPath);
      this.#warnings.push(barred);
      return undefined;
    }
    try {
      return enterSourceDirectory(localPath);
    } catch (error) {
      this.#cannotList(localPath, error);
      return undefined;
    }
  }

  #list(door: SourceDoor, localPath: string): readonly Dirent[] | undefined {
    try {
      return door.list().toSorted((one, other) => comparePaths(one.name, other.name));
    } catch (error) {
      this.#cannotList(localPath, error);
      return undefined;
    }
  }

  #cannotList(localPath: string, error: unknown): void {
    if (isGone(error) && localPath !== this.#top) return;
    this.#unreadable.push(localPath);
    this.#warnings.push(
      error instanceof MovedSourceError ? error.message : `${localPath} cannot be listed: ${messageOf(error)}`,
    );
  }
}

/** Undefined for what cannot be looked at: entering it says why. */
function statsOrNone(look: () => Stats): Stats | undefined {
  try {
    return look();
  } catch {
    return undefined;
  }
}

/** Names of plain letters in short paths are right; thousands of them are not worth a closer look. */
function faultOf(name: string, path: WorkspacePath): string | undefined {
  if (path.length < PLAIN_LENGTH && plainName.test(name) && !isStatePath(path)) return undefined;
  return name.includes("\ufffd") ? "has a name that is not UTF-8" : workspacePathFault(path);
}

const PLAIN_LENGTH = 200;
const plainName = /^[ -~]+$/;
