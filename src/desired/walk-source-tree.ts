import type { BigIntStats, Dirent } from "node:fs";
import { lstatSync, readdirSync, readlinkSync, realpathSync } from "node:fs";
import { join, posix } from "node:path";
import { AgbSyncError, messageOf } from "../errors.ts";
import type { TreeSpec } from "../manifest/manifest.ts";
import type { WorkspacePath } from "../tree/workspace-path.ts";
import { childPath, comparePaths, STATE_DIRECTORY, workspacePathFault } from "../tree/workspace-path.ts";
import { GitignoreStack } from "./gitignore-stack.ts";
import type { IgnoreMatcher } from "./ignore-matcher.ts";
import { ignoreMatcher } from "./ignore-matcher.ts";
import { isGone, lookAtSource } from "./look-at-source.ts";

/** One entry of a local tree, with the place that it gets in the workspace. */
export type SourceEntry =
  | { readonly kind: "directory"; readonly path: WorkspacePath; readonly localPath: string }
  | { readonly kind: "file"; readonly path: WorkspacePath; readonly localPath: string; readonly stats: BigIntStats }
  | { readonly kind: "link"; readonly path: WorkspacePath; readonly target: string };

export type SourceWalk = {
  readonly entries: readonly SourceEntry[];
  /** Every directory that was listed, for watching. */
  readonly directories: readonly string[];
  readonly unreadable: readonly string[];
  readonly warnings: readonly string[];
};

/** More entries than this in one tree are a mistake (a home directory, a whole disk). */
const MAX_ENTRIES = 500_000;

/**
 * Lists a local tree in path order. What `ignore`, `exclude` and, if asked for, `.gitignore` files leave out is neither
 * opened nor stat'ed (S36, W24). Links that stay inside the tree become links; FIFOs, sockets and devices are skipped.
 * `manifestFile` is named in errors.
 * @throws {AgbSyncError} `SOURCE_MISSING`, `SOURCE_ESCAPES` for a link that leaves the tree (S26), `SOURCE_TOO_LARGE`.
 */
export function walkSourceTree(spec: TreeSpec, isIgnored: IgnoreMatcher, manifestFile: string): SourceWalk {
  const { source, at } = spec;
  const place = `${manifestFile}:${at.line}`;
  const look = lookAtSource(source, "directory");
  if (look.kind === "wrong") {
    throw new AgbSyncError("SOURCE_MISSING", `${look.message} (${place})`, { hint: look.hint });
  }
  if (look.kind === "unreadable") {
    const warnings = [`${source} cannot be read: ${look.reason}`];
    return { entries: [], directories: [], unreadable: [source], warnings };
  }
  return new Walk(spec, isIgnored, place).run();
}

class Walk {
  readonly #spec: TreeSpec;
  readonly #isIgnored: IgnoreMatcher;
  readonly #isExcluded: IgnoreMatcher;
  /** Where the tree is declared. */
  readonly #place: string;
  readonly #top: string;
  readonly #entries: SourceEntry[] = [];
  readonly #directories: string[] = [];
  readonly #unreadable: string[] = [];
  readonly #warnings: string[] = [];

  constructor(spec: TreeSpec, isIgnored: IgnoreMatcher, place: string) {
    this.#spec = spec;
    this.#isIgnored = isIgnored;
    this.#isExcluded = ignoreMatcher(spec.exclude);
    this.#place = place;
    // The tree itself may be reached through a link; what is in it may not leave it.
    this.#top = realpathSync(spec.source);
  }

  run(): SourceWalk {
    this.#visit("", this.#spec.path, this.#top, new GitignoreStack());
    return {
      entries: this.#entries,
      directories: this.#directories,
      unreadable: this.#unreadable,
      warnings: this.#warnings,
    };
  }

  #visit(inner: string, path: WorkspacePath, localPath: string, outer: GitignoreStack): void {
    this.#directories.push(localPath);
    const children = this.#list(localPath);
    if (children === undefined) return;
    const hasRules = this.#spec.gitignore && children.some((child) => child.name === ".gitignore" && child.isFile());
    const gitignore = hasRules ? this.#enter(inner, join(localPath, ".gitignore"), outer) : outer;
    if (gitignore === undefined) return;
    for (const child of children) {
      const innerPath = inner === "" ? child.name : `${inner}/${child.name}`;
      const place = childPath(path, child.name);
      const isDirectory = child.isDirectory();
      if (inner === "" && path === "" && child.name === STATE_DIRECTORY) continue;
      if (this.#spec.gitignore && (child.name === ".git" || gitignore.isIgnored(innerPath, isDirectory))) continue;
      if (this.#isExcluded(innerPath, isDirectory) || this.#isIgnored(place, isDirectory)) continue;
      this.#take(child, innerPath, place, join(localPath, child.name), gitignore);
    }
  }

  /** Undefined when nobody knows what a directory leaves out: nothing in it may be sent then. */
  #enter(inner: string, file: string, outer: GitignoreStack): GitignoreStack | undefined {
    try {
      return outer.enter(inner, file);
    } catch (error) {
      if (isGone(error)) return outer;
      this.#unreadable.push(file);
      this.#warnings.push(`${file} cannot be read, so its directory is left out: ${messageOf(error)}`);
      return undefined;
    }
  }

  #take(child: Dirent, inner: string, path: WorkspacePath, localPath: string, gitignore: GitignoreStack): void {
    const fault = child.name.includes("\ufffd") ? "has a name that is not UTF-8" : workspacePathFault(path);
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
      this.#entries.push({ kind: "directory", path, localPath });
      this.#visit(inner, path, localPath, gitignore);
    } else if (child.isFile()) {
      const stats = this.#stat(localPath);
      if (stats !== undefined) this.#entries.push({ kind: "file", path, localPath, stats });
    } else if (child.isSymbolicLink()) {
      this.#entries.push({ kind: "link", path, target: this.#target(inner, localPath) });
    } else {
      this.#warnings.push(`${localPath} is a socket, FIFO or device and is skipped`);
    }
  }

  #target(inner: string, localPath: string): string {
    const target = readlinkSync(localPath);
    const reached = posix.normalize(posix.join(posix.dirname(inner), target));
    if (target.startsWith("/") || reached === ".." || reached.startsWith("../")) {
      const message = `${localPath} is a link to ${target}, which leaves its tree (${this.#place})`;
      throw new AgbSyncError("SOURCE_ESCAPES", message, {
        hint: "exclude it, or make it point inside the tree",
      });
    }
    return target;
  }

  /** A file that vanished since it was listed is not there; one that cannot be looked at is unreadable. */
  #stat(localPath: string): BigIntStats | undefined {
    try {
      return lstatSync(localPath, { bigint: true });
    } catch (error) {
      if (!isGone(error)) this.#unreadable.push(localPath);
      return undefined;
    }
  }

  #list(localPath: string): readonly Dirent[] | undefined {
    try {
      return readdirSync(localPath, { withFileTypes: true }).toSorted((one, other) =>
        comparePaths(one.name, other.name),
      );
    } catch (error) {
      if (!isGone(error) || localPath === this.#top) {
        this.#unreadable.push(localPath);
        this.#warnings.push(`${localPath} cannot be listed: ${messageOf(error)}`);
      }
      return undefined;
    }
  }
}
