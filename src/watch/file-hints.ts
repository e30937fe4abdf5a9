import type { FSWatcher } from "chokidar";
import { watch } from "chokidar";

/** What makes the watch loop look: anything may have changed. Events are hints; a scan is the truth. */
export type Hints = {
  /** Resolves at the next hint, or at once when one came since the last call. Never rejects. */
  next(): Promise<void>;
  /** Hints since the last call; a large number may mean that the kernel's queue overflowed. */
  takeCount(): number;
  /** From now on these directories are watched, and no others. */
  follow(directories: readonly string[]): Promise<void>;
  close(): Promise<void>;
};

/**
 * Watches directories only, not each file: a twentieth of the handles, and files are seen through their directory.
 * `onTrouble` is told once when the system's limits are too low (W26).
 */
export function fileHints(onTrouble: (message: string) => void): Hints {
  const waiting = new WaitingRoom();
  let watcher: FSWatcher | undefined;
  let followed: ReadonlySet<string> = new Set();
  let isTroubled = false;
  const open = async (directories: readonly string[]) => {
    const current = watch([...directories], {
      ignoreInitial: true,
      followSymlinks: false,
      depth: 0,
      persistent: true,
      // Only the directories themselves: not their files, and not directories that nobody asked for.
      ignored: (path) => !followed.has(path),
    });
    // `raw` is the only event that tells of files without a watch on each of them; if it ever goes quiet, the periodic
    // rescan still finds what changed.
    current.on("raw", () => waiting.knock()).on("all", () => waiting.knock());
    current.on("error", (error) => {
      const code = error instanceof Error && "code" in error ? error.code : undefined;
      if (isTroubled || (code !== "ENOSPC" && code !== "EMFILE")) return;
      isTroubled = true;
      onTrouble(
        code === "ENOSPC"
          ? "the system's limit of file watches is reached (fs.inotify.max_user_watches): polling instead"
          : "the system's limit of open files is reached (ulimit -n): polling instead",
      );
    });
    await new Promise<void>((resolve) => current.once("ready", () => resolve()));
    return current;
  };
  return {
    next: () => waiting.next(),
    takeCount: () => waiting.takeCount(),
    async follow(directories) {
      const before = followed;
      followed = new Set(directories);
      if (watcher === undefined) watcher = await open(directories);
      else {
        const added = directories.filter((directory) => !before.has(directory));
        const removed = [...before].filter((directory) => !followed.has(directory));
        if (added.length > 0) watcher.add(added);
        if (removed.length > 0) watcher.unwatch(removed);
      }
    },
    close: async () => watcher?.close(),
  };
}

/** Hints from nothing but a clock: for network drives, and where watching is not possible. */
export function pollingHints(intervalMs: number): Hints {
  const waiting = new WaitingRoom();
  const timer = setInterval(() => waiting.knock(), intervalMs);
  return {
    next: () => waiting.next(),
    takeCount: () => waiting.takeCount(),
    follow: async () => undefined,
    close: async () => clearInterval(timer),
  };
}

class WaitingRoom {
  #count = 0;
  #isPending = false;
  #wake: (() => void) | undefined;

  knock(): void {
    this.#count += 1;
    this.#isPending = true;
    this.#wake?.();
  }

  async next(): Promise<void> {
    if (!this.#isPending) await new Promise<void>((resolve) => (this.#wake = resolve));
    this.#wake = undefined;
    this.#isPending = false;
  }

  takeCount(): number {
    const count = this.#count;
    this.#count = 0;
    return count;
  }
}
