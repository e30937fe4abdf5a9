import { randomUUID } from "node:crypto";
import pLimit from "p-limit";
import { AgbSyncError, hasCode, TransportError } from "../errors.ts";
import type { Transport } from "../transport/transport.ts";
import type { Digest } from "../tree/digest.ts";
import type { Entry } from "../tree/entry.ts";
import { isClosed, OWNER_ALL, sameContent, sameMode } from "../tree/entry.ts";
import { printable } from "../tree/printable.ts";
import type { WorkspacePath } from "../tree/workspace-path.ts";
import { ancestorsOf, childPath, comparePaths, parentPath, ROOT, statePath } from "../tree/workspace-path.ts";
import { removeStateTree, STAGES_PATH, STEPS_STAGE } from "./stage.ts";
import { makeStateDirectory } from "./state-file.ts";

/** Something in a backup: where it belongs in the workspace, where it is kept, and what it is. */
export type Kept = { readonly path: WorkspacePath; readonly keptAt: WorkspacePath; readonly entry: Entry };

/** What became of the paths of a restore, in path order. `backup` holds what stood in the way, if anything did. */
export type Restored = {
  readonly restored: readonly WorkspacePath[];
  readonly failed: readonly { readonly path: WorkspacePath; readonly error: Error }[];
  readonly backup: string | undefined;
};

/** Entries copied side by side. */
const COPYING = 8;
const CLEANUP_MS = 60_000;

type Undo = (signal: AbortSignal) => Promise<void>;

/**
 * Brings entries of a backup back, with the lock held. Each path ends restored, or failed and as it was before: its
 * bytes are complete beside their place when anything there is touched, and a failure after that brings it back. A file
 * or link is replaced as by an apply: what was there has its second name in the new backup before, so that the path is
 * never missing, also when nobody is there any more to go on (S2, S3).
 */
export class RestoreRun {
  readonly #transport: Transport;
  readonly #nameBackup: () => Promise<string>;
  readonly #stage = childPath(STAGES_PATH, `${STEPS_STAGE}${randomUUID()}`);
  readonly #modes: ReadonlyMap<WorkspacePath, number>;
  readonly #signal: AbortSignal;
  readonly #restored = new Set<Kept>();
  readonly #failed: { readonly path: WorkspacePath; readonly error: Error }[] = [];
  /** Known to be there, so that neighbours need no second look. */
  readonly #directories = new Set<WorkspacePath>();
  readonly #closedDirectories = new Map<WorkspacePath, number>();
  #digests: ReadonlyMap<WorkspacePath, Digest> = new Map();
  #setAsideCount = 0;
  /** The name of the new backup, once something stood in the way. */
  #backup: string | undefined;

  /** `nameBackup` gives a name for what stands in the way; `modes` are those of the old backup's directories. */
  constructor(
    transport: Transport,
    nameBackup: () => Promise<string>,
    modes: ReadonlyMap<WorkspacePath, number>,
    signal: AbortSignal,
  ) {
    this.#transport = transport;
    this.#nameBackup = nameBackup;
    this.#modes = modes;
    this.#signal = signal;
  }

  /** Carries everything out. Throws only when the session itself is lost, or nothing was begun. */
  async finish(all: readonly Kept[]): Promise<Restored> {
    const files = all.filter(({ entry }) => entry.kind === "file");
    const paths = files.flatMap(({ path, keptAt }) => [path, keptAt]);
    this.#digests = await this.#transport.digestFiles(paths, this.#signal);
    try {
      await makeStateDirectory(this.#transport, this.#stage, this.#signal);
      const limit = pLimit(COPYING);
      const sources = await Promise.all(all.map((kept, index) => limit(() => this.#prepare(kept, index))));
      for (const [index, kept] of all.entries()) {
        const source = sources[index];
        const isDone = source === "there" || (source !== undefined && (await this.#place(kept, source)));
        if (isDone) this.#restored.add(kept);
      }
      await this.#verify();
    } finally {
      await this.#cleanUp();
    }
    return {
      restored: [...this.#restored].map(({ path }) => path),
      failed: this.#failed.toSorted((one, other) => comparePaths(one.path, other.path)),
      backup: this.#setAsideCount > 0 ? this.#backup : undefined,
    };
  }

  /** Where the entry can be moved into place from; `there` when nothing has to be done, undefined when it failed. */
  async #prepare(kept: Kept, index: number): Promise<WorkspacePath | "there" | undefined> {
    return await this.#attempt(kept, async () => {
      if (await this.#isThere(kept)) return "there";
      try {
        return await this.#copy(kept, childPath(this.#stage, String(index)));
      } catch (error) {
        // What this session cannot write, or its user not read, leaves the backup instead.
        if (!hasCode(error, "NOT_POSSIBLE_HERE", "PERMISSION_DENIED", "VERIFY_FAILED")) throw error;
        return kept.keptAt;
      }
    });
  }

  async #isThere({ path, keptAt, entry }: Kept): Promise<boolean> {
    const digest = this.#digests.get(path);
    if (entry.kind === "file" && (digest === undefined || digest !== this.#digests.get(keptAt))) return false;
    const there = await this.#transport.stat(path, this.#signal);
    // A directory of a backup stands for what is in it: one that is there gives way to nothing.
    if (entry.kind === "directory" && there?.kind === "directory") return true;
    if (there === undefined || !sameMode(there, entry)) return false;
    return entry.kind === "file" ? there.kind === "file" : sameContent(there, entry);
  }

  async #copy({ path, keptAt, entry }: Kept, staged: WorkspacePath): Promise<WorkspacePath> {
    const transport = this.#transport;
    const digest = this.#digests.get(keptAt);
    if (entry.kind === "special")
      throw new AgbSyncError("TOOL_FAILED", `${printable(path)} is a socket, FIFO or device in the backup`);
    if (entry.kind === "file" ? digest === undefined : entry.kind === "link" && entry.target === undefined)
      return keptAt;
    if (entry.kind === "directory") await transport.createDirectory(staged, entry.mode, this.#signal);
    if (entry.kind === "link") await transport.createLink(staged, entry.target ?? "", this.#signal);
    if (entry.kind === "file" && digest !== undefined) {
      const { sizeBytes, mode = 0o644 } = entry;
      const open = () => transport.readFile(keptAt, this.#signal);
      await transport.writeFile(staged, { digest, sizeBytes, sensitive: true, open }, mode, this.#signal);
      const written = await transport.digestFiles([staged], this.#signal);
      if (written.get(staged) !== digest) throw notKept(path);
    }
    return staged;
  }

  /** Sets aside what stands at the path, or where a directory above it is needed, and moves the entry in. */
  async #place(kept: Kept, source: WorkspacePath): Promise<boolean> {
    const undo: Undo[] = [];
    const isDone = await this.#attempt(kept, async () => {
      const { path, entry } = kept;
      for (const above of ancestorsOf(path)) await this.#makeDirectory(above, undo);
      const there = await this.#transport.stat(path, this.#signal);
      if (there !== undefined && there.kind !== "directory" && entry.kind !== "directory") {
        await this.#replace(source, path, undo);
      } else {
        if (there !== undefined) await this.#setAside(path, there, undo);
        await this.#inWritable(path, this.#signal, (signal) => this.#move(source, path, entry, signal));
      }
      return true;
    });
    if (isDone === true) return true;
    for (const step of undo.toReversed()) {
      // What cannot be moved back stays in the new backup, which the result names.
      await step(AbortSignal.timeout(CLEANUP_MS)).catch((error: unknown) => this.#fail(kept.path, error));
    }
    return false;
  }

  async #makeDirectory(path: WorkspacePath, undo: Undo[]): Promise<void> {
    if (this.#directories.has(path)) return;
    const there = await this.#transport.stat(path, this.#signal);
    if (there?.kind !== "directory") {
      if (there !== undefined) await this.#setAside(path, there, undo);
      const mode = this.#modes.get(path);
      const openMode = mode === undefined ? undefined : mode | OWNER_ALL;
      await this.#inWritable(path, this.#signal, (signal) => this.#transport.createDirectory(path, openMode, signal));
      if (mode !== undefined && mode !== openMode) this.#closedDirectories.set(path, mode);
      undo.push(async () => {
        this.#directories.delete(path);
        this.#closedDirectories.delete(path);
        await this.#removeIfEmpty(path);
      });
    }
    this.#directories.add(path);
  }

  /** Puts what is staged over a file or link, which is in the new backup before it is gone. */
  async #replace(source: WorkspacePath, path: WorkspacePath, undo: Undo[]): Promise<void> {
    const keepAt = await this.#placeAside(path, undo);
    undo.push(async (signal) => {
      if ((await this.#transport.stat(keepAt, signal)) === undefined) return;
      await this.#inWritable(path, signal, (inner) => this.#transport.move(keepAt, path, { replace: true }, inner));
      // Two names of one file: renaming one to the other may leave both.
      await this.#transport.deleteFile(keepAt, signal);
    });
    const put = (signal: AbortSignal) => this.#transport.move(source, path, { replace: true, keepAt }, signal);
    await this.#inWritable(path, this.#signal, put);
    this.#setAsideCount += 1;
  }

  /** Where what stands at `path` goes, in a directory that is there. */
  async #placeAside(path: WorkspacePath, undo: Undo[]): Promise<WorkspacePath> {
    this.#backup ??= await this.#nameBackup();
    const aside = statePath("backup", this.#backup, path);
    undo.push(async () => {
      for (const above of ancestorsOf(aside).slice(2).toReversed()) await this.#removeIfEmpty(above);
    });
    await makeStateDirectory(this.#transport, parentPath(aside), this.#signal);
    return aside;
  }

  async #setAside(path: WorkspacePath, entry: Entry, undo: Undo[]): Promise<void> {
    const aside = await this.#placeAside(path, undo);
    await this.#inWritable(path, this.#signal, (signal) => this.#move(path, aside, entry, signal));
    this.#setAsideCount += 1;
    undo.push(async (signal) => {
      await this.#inWritable(path, signal, (inner) => this.#move(aside, path, entry, inner));
      this.#setAsideCount -= 1;
    });
  }

  /** A directory can change its parent only while its owner may write in it. */
  async #move(from: WorkspacePath, to: WorkspacePath, entry: Entry, signal: AbortSignal): Promise<void> {
    const mode = entry.kind === "directory" ? (entry.mode ?? OWNER_ALL) : OWNER_ALL;
    const mustOpen = isClosed(mode);
    if (mustOpen) await this.#transport.setMode(from, mode | OWNER_ALL, signal);
    let place = from;
    try {
      await this.#transport.move(from, to, { replace: false }, signal);
      place = to;
    } finally {
      if (mustOpen) await this.#transport.setMode(place, mode, AbortSignal.timeout(CLEANUP_MS));
    }
  }

  /** Does `work` in the parent of `path`; one that its owner may not change is opened for it and closed at the end. */
  async #inWritable(
    path: WorkspacePath,
    signal: AbortSignal,
    work: (signal: AbortSignal) => Promise<void>,
  ): Promise<void> {
    try {
      await work(signal);
    } catch (error) {
      const parent = parentPath(path);
      if (!hasCode(error, "PERMISSION_DENIED") || parent === ROOT || this.#closedDirectories.has(parent)) throw error;
      const entry = await this.#transport.stat(parent, signal);
      const mode = entry?.kind === "directory" ? (entry.mode ?? OWNER_ALL) : OWNER_ALL;
      if (!isClosed(mode)) throw error;
      await this.#transport.setMode(parent, mode | OWNER_ALL, signal).catch((cause: unknown) => {
        throw hasCode(cause, "PERMISSION_DENIED") ? error : cause;
      });
      this.#closedDirectories.set(parent, mode);
      await work(signal);
    }
  }

  /** A session's "success" is no evidence: what was put into place is read back there. */
  async #verify(): Promise<void> {
    const files = [...this.#restored].filter(({ keptAt }) => this.#digests.has(keptAt));
    const signal = this.#signal.aborted ? AbortSignal.timeout(CLEANUP_MS) : this.#signal;
    const found = await this.#transport.digestFiles(
      files.map(({ path }) => path),
      signal,
    );
    for (const kept of files) {
      if (found.get(kept.path) === this.#digests.get(kept.keptAt)) continue;
      this.#restored.delete(kept);
      this.#fail(kept.path, notKept(kept.path));
    }
  }

  /** Nothing of the run is left: neither its copies nor directories that it opened. */
  async #cleanUp(): Promise<void> {
    const signal = AbortSignal.timeout(CLEANUP_MS);
    for (const [path, mode] of [...this.#closedDirectories].toSorted(([one], [other]) => other.length - one.length)) {
      await this.#transport.setMode(path, mode, signal).catch((error: unknown) => this.#fail(path, error));
    }
    // What cannot be removed now is the next apply's: its name says that nobody works in it once the lock is free.
    await removeStateTree(this.#transport, this.#stage, signal).catch((error: unknown) => {
      if (!(error instanceof TransportError)) throw error;
    });
  }

  /** Where directories cannot be removed, an empty one stays. */
  async #removeIfEmpty(path: WorkspacePath): Promise<void> {
    try {
      await this.#transport.removeDirectory(path, AbortSignal.timeout(CLEANUP_MS));
    } catch (error) {
      if (!hasCode(error, "NOT_POSSIBLE_HERE", "DIRECTORY_NOT_EMPTY")) throw error;
    }
  }

  /** Runs one piece of work for a path; what goes wrong becomes its result, unless the session is lost. */
  async #attempt<Result>({ path }: Kept, work: () => Promise<Result>): Promise<Result | undefined> {
    try {
      this.#signal.throwIfAborted();
      return await work();
    } catch (error) {
      if (hasCode(error, "SESSION_GONE", "SESSION_NOT_FOUND", "BAD_API_KEY")) throw error;
      const isStopped = this.#signal.aborted;
      this.#fail(path, isStopped ? new AgbSyncError("ABORTED", `${printable(path)}: interrupted`) : error);
      return undefined;
    }
  }

  /** The first reason is the one that counts. */
  #fail(path: WorkspacePath, error: unknown): void {
    if (this.#failed.some((known) => known.path === path)) return;
    this.#failed.push({ path, error: error instanceof Error ? error : new Error(String(error)) });
  }
}

function notKept(path: WorkspacePath): TransportError {
  return new TransportError("VERIFY_FAILED", `${printable(path)}: the session did not keep the bytes it was sent`, {
    hint: "look at the session's free space, then restore again",
  });
}
