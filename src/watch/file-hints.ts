import { basename, join } from "node:path";
import type { Clock } from "../clock.ts";
import { Bell } from "./bell.ts";
import type { OpenDirectory } from "./directory-watch.ts";
import { openDirectory } from "./directory-watch.ts";
import { directoryIdentity } from "./file-identity.ts";
import type { Hinted, Hints, Interest } from "./hints.ts";
import type { UnsettledFiles } from "./unsettled-files.ts";

/** More hints than this at a time may mean that others were lost (the kernel's queue holds 16,384). */
export const SUSPICIOUS_HINTS = 1000;

type Watched = { readonly identity: string; interest: Interest; readonly close: () => void; isLost: boolean };

export type FileHintsOptions = {
  readonly clock: Clock;
  /** Files that need no look because of a hint. */
  readonly unsettled: UnsettledFiles;
  /** Told once when the system's limits are too low (W26). */
  readonly onTrouble: (message: string) => void;
  readonly open?: OpenDirectory;
};

/** Hints from the file system. Directories are watched, not each file: a twentieth of the handles. */
export class FileHints implements Hints {
  readonly #options: FileHintsOptions;
  readonly #bell = new Bell();
  readonly #watched = new Map<string, Watched>();
  #places: Map<string, Set<string>> = new Map();
  #count = 0;
  #firstMs: number | undefined;
  #lastMs = Number.NEGATIVE_INFINITY;
  #isTroubled = false;

  constructor(options: FileHintsOptions) {
    this.#options = options;
  }

  get count(): number {
    return this.#bell.count;
  }

  get firstMs(): number | undefined {
    return this.#firstMs;
  }

  get lastMs(): number {
    return this.#lastMs;
  }

  after(seen: number, signal: AbortSignal): Promise<void> {
    return this.#bell.after(seen, signal);
  }

  take(): Hinted {
    const hinted = {
      count: this.#count,
      firstMs: this.#firstMs,
      places: this.#count > SUSPICIOUS_HINTS ? undefined : this.#places,
    };
    this.#places = new Map();
    this.#count = 0;
    this.#firstMs = undefined;
    return hinted;
  }

  async follow(directories: ReadonlyMap<string, Interest>, suspects?: ReadonlySet<string>): Promise<readonly string[]> {
    for (const [directory, watched] of this.#watched) {
      const interest = directories.get(directory);
      const isSuspect = suspects === undefined || suspects.has(directory) || watched.isLost;
      if (interest !== undefined && (!isSuspect || this.isFollowing(directory))) watched.interest = interest;
      else this.#close(directory, watched);
    }
    const armed: string[] = [];
    const opening: Promise<void>[] = [];
    for (const [directory, interest] of directories) {
      if (this.#watched.has(directory) || this.#isTroubled) continue;
      const identity = directoryIdentity(directory);
      if (identity === undefined) continue;
      armed.push(directory);
      opening.push(this.#open(directory, identity, interest));
    }
    await Promise.all(opening);
    return armed;
  }

  isFollowing(directory: string): boolean {
    const watched = this.#watched.get(directory);
    return watched !== undefined && !watched.isLost && watched.identity === directoryIdentity(directory);
  }

  async close(): Promise<void> {
    this.#isTroubled = true;
    for (const [directory, watched] of this.#watched) this.#close(directory, watched);
  }

  #close(directory: string, watched: Watched): void {
    watched.close();
    this.#watched.delete(directory);
  }

  async #open(directory: string, identity: string, interest: Interest): Promise<void> {
    const open = this.#options.open ?? openDirectory;
    let watched: Watched | undefined;
    const close = await open(directory, {
      onHint: (name, isRename) => this.#note(directory, watched, name, isRename),
      onError: (error) => this.#noteError(error),
    });
    watched = { identity, interest, close, isLost: false };
    if (this.#isTroubled) close();
    else this.#watched.set(directory, watched);
  }

  #note(directory: string, watched: Watched | undefined, name: string | undefined, isRename: boolean): void {
    // Inotify tells a directory that it was deleted or moved under its own name: from now on it may be blind.
    if (watched !== undefined && isRename && name === basename(directory)) watched.isLost = true;
    const interest = watched?.interest ?? "everything";
    if (interest !== "everything" && name !== undefined && !interest.has(name)) return;
    if (name !== undefined && this.#options.unsettled.touch(join(directory, name))) return;
    const nowMs = this.#options.clock.now();
    this.#count += 1;
    this.#firstMs ??= nowMs;
    if (this.#count <= SUSPICIOUS_HINTS) {
      const names = this.#places.get(directory) ?? new Set();
      this.#places.set(directory, names.add(name ?? ""));
    }
    this.#lastMs = nowMs;
    this.#bell.ring();
  }

  #noteError(error: unknown): void {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (this.#isTroubled || (code !== "ENOSPC" && code !== "EMFILE")) return;
    this.#isTroubled = true;
    this.#options.onTrouble(
      code === "ENOSPC"
        ? "the system's limit of file watches is reached (fs.inotify.max_user_watches): polling instead"
        : "the system's limit of watchers or open files is reached (fs.inotify.max_user_instances, ulimit -n): polling instead",
    );
  }
}
