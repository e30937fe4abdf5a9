import { createHash } from "node:crypto";
import type { Stats } from "node:fs";
import { createReadStream, createWriteStream } from "node:fs";
import { chmod, lstat, mkdir, mkdtemp, readlink, realpath, rename, rm, rmdir, symlink, unlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { AgbSyncError, hasErrno } from "../errors.ts";
import { makeDirectories } from "../make-directories.ts";
import type { PullRecord } from "./pull-record.ts";
import { readPullRecord, writePullRecord } from "./pull-record.ts";

/** A file or link that has come and waits for its place. `identity` is what the record says of it. */
export type Staged = {
  readonly kind: "file" | "link";
  readonly staged: string;
  readonly identity: string;
  readonly mode: number;
  readonly sizeBytes: number;
};

/** What became of one path here. */
export type Placed =
  | { readonly status: "created" | "replaced" | "unchanged" | "deleted" }
  | { readonly status: "conflict" | "refused"; readonly reason: string };

export type TargetOptions = {
  readonly force: boolean;
  readonly dryRun: boolean;
  readonly cacheDirectory: string | undefined;
};

/** How the record names a directory. */
const DIRECTORY = "directory";

/**
 * One local directory that things are pulled into. They are staged on the same file system and renamed into place; no link
 * in it is followed, and what changed since the last pull stays.
 */
export class LocalTarget {
  readonly #base: string;
  readonly #staging: string;
  readonly #options: TargetOptions;
  readonly #before: PullRecord;
  readonly #record: Map<string, string>;
  /** Modes of directories that were made here, set when nothing more is put into them. */
  readonly #modes = new Map<string, number>();
  #count = 0;

  /** `base` need not be there yet. @throws {AgbSyncError} `LOCAL_FAILED` when it is no directory. */
  static async open(base: string, options: TargetOptions): Promise<LocalTarget> {
    const real = await realPlaceOf(base);
    const stats = await statsAt(real);
    if (stats !== undefined && !stats.isDirectory()) {
      throw new AgbSyncError("LOCAL_FAILED", `${base} is not a directory`, { hint: "name another place to pull to" });
    }
    const near = options.dryRun ? tmpdir() : await nearestDirectory(real);
    return new LocalTarget(real, await mkdtemp(join(near, ".agb-sync-pull-")), options);
  }

  private constructor(base: string, staging: string, options: TargetOptions) {
    this.#base = base;
    this.#staging = staging;
    this.#options = options;
    this.#before = readPullRecord(options.cacheDirectory, base);
    this.#record = new Map(this.#before);
  }

  async stageFile(bytes: AsyncIterable<Uint8Array>, mode: number, signal: AbortSignal): Promise<Staged> {
    const staged = this.#nextName();
    const hash = createHash("sha256");
    let sizeBytes = 0;
    const watched = async function* (chunks: AsyncIterable<Uint8Array>) {
      for await (const chunk of chunks) {
        hash.update(chunk);
        sizeBytes += chunk.byteLength;
        yield chunk;
      }
    };
    await pipeline(bytes, watched, createWriteStream(staged, { flags: "wx", mode: 0o600 }), { signal });
    return { kind: "file", staged, identity: `sha256:${hash.digest("hex")}`, mode, sizeBytes };
  }

  async stageLink(target: string): Promise<Staged> {
    const staged = this.#nextName();
    await symlink(target, staged);
    return { kind: "link", staged, identity: `link ${target}`, mode: 0o777, sizeBytes: 0 };
  }

  /** A directory of the session. */
  async placeDirectory(inner: string, mode: number): Promise<Placed> {
    const there = await statsAt(join(this.#base, inner));
    if (there?.isDirectory() === true) return { status: "unchanged" };
    const fault = there === undefined ? await this.#prepareParents(inner) : `${kindOf(there)} is in its place`;
    if (fault !== undefined) return { status: "conflict", reason: fault };
    if (!this.#options.dryRun) {
      if (inner === "") makeDirectories(this.#base);
      else await mkdir(join(this.#base, inner));
      this.#modes.set(inner, mode);
      if (inner !== "") this.#record.set(inner, DIRECTORY);
    }
    return { status: "created" };
  }

  /** A file or link of the session. */
  async place(inner: string, item: Staged): Promise<Placed> {
    const fault = await this.#prepareParents(inner);
    if (fault !== undefined) return { status: "refused", reason: fault };
    const place = join(this.#base, inner);
    const there = await statsAt(place);
    if (there?.isDirectory() === true) return { status: "conflict", reason: "a directory is in its place" };
    const { dryRun, force } = this.#options;
    const now = there === undefined ? undefined : await identityAt(place, there);
    if (now === item.identity) {
      const hasMode = item.kind === "link" || (there !== undefined && (there.mode & 0o777) === item.mode);
      this.#record.set(inner, item.identity);
      if (hasMode) return { status: "unchanged" };
      if (!dryRun) await chmod(place, item.mode);
      return { status: "replaced" };
    }
    if (there !== undefined && !force && (now === undefined || this.#before.get(inner) !== now)) {
      const known = this.#before.has(inner);
      return { status: "conflict", reason: known ? "changed here since the last pull" : "is there and was not pulled" };
    }
    if (!dryRun) {
      if (item.kind === "file") await chmod(item.staged, item.mode);
      await rename(item.staged, place);
      this.#record.set(inner, item.identity);
    }
    return { status: there === undefined ? "created" : "replaced" };
  }

  /** Takes away what came from the session at and below `prefix` and is not there any more; what changed here stays. */
  async prune(prefix: string, seen: ReadonlySet<string>): Promise<ReadonlyMap<string, Placed>> {
    const placed = new Map<string, Placed>();
    const gone = [...this.#before].filter(
      ([inner]) => !seen.has(inner) && (prefix === "" || inner.startsWith(`${prefix}/`)),
    );
    // What lies deeper comes first.
    for (const [inner, identity] of gone.toSorted(([one], [other]) => (one < other ? 1 : -1))) {
      const place = join(this.#base, inner);
      const there = (await this.#parentFault(inner)) === undefined ? await statsAt(place) : undefined;
      if (there === undefined) this.#record.delete(inner);
      else if (identity === DIRECTORY) await this.#removeIfEmpty(inner, there);
      else if ((await identityAt(place, there)) !== identity) {
        placed.set(inner, { status: "conflict", reason: "changed here, and gone in the session" });
      } else {
        placed.set(inner, { status: "deleted" });
        if (this.#options.dryRun) continue;
        await unlink(place);
        this.#record.delete(inner);
      }
    }
    return placed;
  }

  /** Sets the modes of directories, keeps the record, and removes what was staged. */
  async close(): Promise<void> {
    try {
      for (const [inner, mode] of [...this.#modes].toReversed()) await chmod(join(this.#base, inner), mode);
      if (!this.#options.dryRun) writePullRecord(this.#options.cacheDirectory, this.#base, this.#record);
    } finally {
      await rm(this.#staging, { recursive: true, force: true });
    }
  }

  async #removeIfEmpty(inner: string, there: Stats): Promise<void> {
    if (this.#options.dryRun || !there.isDirectory()) return;
    try {
      await rmdir(join(this.#base, inner));
      this.#record.delete(inner);
    } catch (error) {
      if (!hasErrno(error, "ENOTEMPTY", "EEXIST", "EACCES", "EPERM")) throw error;
    }
  }

  /** Makes the directories above; says what stands in the way. Links are never entered. */
  async #prepareParents(inner: string): Promise<string | undefined> {
    const fault = await this.#parentFault(inner);
    if (fault !== undefined || this.#options.dryRun) return fault;
    makeDirectories(this.#base);
    for (const above of prefixesOf(inner)) {
      const place = join(this.#base, above);
      if ((await statsAt(place)) !== undefined) continue;
      await mkdir(place);
      this.#record.set(above, DIRECTORY);
    }
    return undefined;
  }

  async #parentFault(inner: string): Promise<string | undefined> {
    for (const above of prefixesOf(inner)) {
      const there = await statsAt(join(this.#base, above));
      if (there !== undefined && !there.isDirectory()) return `${kindOf(there)} is in the way at ${above}`;
    }
    return undefined;
  }

  #nextName(): string {
    this.#count += 1;
    return join(this.#staging, String(this.#count));
  }
}

function prefixesOf(inner: string): readonly string[] {
  const names = inner.split("/");
  return names.slice(1).map((_, index) => names.slice(0, index + 1).join("/"));
}

async function statsAt(path: string): Promise<Stats | undefined> {
  try {
    return await lstat(path);
  } catch (error) {
    if (hasErrno(error, "ENOENT", "ENOTDIR")) return undefined;
    throw error;
  }
}

/** What the record would say of what is here; undefined for what is neither file nor link. */
async function identityAt(path: string, stats: Stats): Promise<string | undefined> {
  if (stats.isSymbolicLink()) return `link ${await readlink(path)}`;
  if (!stats.isFile()) return undefined;
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(path)) hash.update(chunk);
  return `sha256:${hash.digest("hex")}`;
}

function kindOf(stats: Stats): string {
  if (stats.isSymbolicLink()) return "a link";
  return stats.isDirectory() ? "a directory" : stats.isFile() ? "a file" : "something special";
}

/** Where a place lies without links; what of it is not there yet has none. */
async function realPlaceOf(path: string): Promise<string> {
  try {
    return await realpath(path);
  } catch (error) {
    const isDangling = (await statsAt(path)) !== undefined;
    if (isDangling || !hasErrno(error, "ENOENT") || dirname(path) === path) throw error;
    return join(await realPlaceOf(dirname(path)), basename(path));
  }
}

async function nearestDirectory(path: string): Promise<string> {
  const stats = await statsAt(path);
  return stats?.isDirectory() === true || dirname(path) === path ? path : await nearestDirectory(dirname(path));
}
