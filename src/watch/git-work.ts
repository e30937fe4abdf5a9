import { readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import type { Clock } from "../clock.ts";
import { statsOf } from "./file-identity.ts";
import { pause } from "./pace.ts";

const LOOK_MS = 20;
/** A lock of this age is a dead git's, or of a git whose work is so long that waiting would not make much less of it. */
const OLD_MS = 60_000;

/**
 * Git holds a lock on its index while it changes files, and half a checkout is not worth sending (W15). A lock that is
 * old, or was waited for to the end while no file changed, was left behind by a git that died: it is not waited for.
 */
export class GitWork {
  readonly #clock: Clock;
  readonly #stale = new Set<string>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * Waits while git works in a repository that one of the directories lies in, at most until `endMs` by the clock;
   * `isAtWork` says then whether files changed lately.
   */
  async wait(
    directories: Iterable<string>,
    endMs: number,
    isAtWork: () => boolean,
    signal: AbortSignal,
  ): Promise<void> {
    const locks = [...new Set([...directories].flatMap((directory) => gitDirectoryOf(directory) ?? []))];
    for (;;) {
      const held = locks.flatMap((directory) => identityOf(join(directory, "index.lock")) ?? []);
      const fresh = held.filter((lock) => !this.#stale.has(lock));
      if (fresh.length === 0 || signal.aborted) return;
      if (this.#clock.now() >= endMs) {
        if (!isAtWork()) for (const lock of fresh) this.#stale.add(lock);
        return;
      }
      await pause(this.#clock, Math.min(LOOK_MS, endMs - this.#clock.now()), signal);
    }
  }
}

/** Where git keeps the index of the repository that `directory` lies in; undefined outside of any. */
function gitDirectoryOf(directory: string): string | undefined {
  for (let current = directory; ; current = dirname(current)) {
    const found = pointedTo(join(current, ".git"));
    if (found !== undefined || dirname(current) === current) return found;
  }
}

/** In worktrees and submodules `.git` is a file that says where the directory is (gitrepository-layout(5)). */
function pointedTo(dotGit: string): string | undefined {
  const stats = statsOf(dotGit);
  if (stats?.isFile() !== true) return stats?.isDirectory() === true ? dotGit : undefined;
  try {
    const target = /^gitdir: (.+)$/m.exec(readFileSync(dotGit, "utf8"))?.[1];
    return target === undefined ? undefined : resolve(dirname(dotGit), target.trim());
  } catch {
    // Gone or unreadable since: no repository that could be waited for.
    return undefined;
  }
}

/** What tells a lock from the next one of its name; undefined: there is none that could be waited for. */
function identityOf(file: string): string | undefined {
  const stats = statsOf(file);
  if (stats === undefined || Date.now() - stats.mtimeMs > OLD_MS) return undefined;
  return `${file} ${stats.ino} ${stats.ctimeMs}`;
}
