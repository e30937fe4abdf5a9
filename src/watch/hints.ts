import type { Clock } from "../clock.ts";
import { Bell } from "./bell.ts";

/** What of a watched directory matters: all of its entries, or some names only. */
export type Interest = "everything" | ReadonlySet<string>;

/** Names (`""` where the system did not say) in directories that something was hinted at. */
export type Places = ReadonlyMap<string, ReadonlySet<string>>;

export type Hinted = {
  readonly count: number;
  /** When the first of them came, by the clock. */
  readonly firstMs: number | undefined;
  /** Where; undefined: nobody knows, or there were too many to be believed. */
  readonly places: Places | undefined;
};

/** What makes watch look: something may have changed. Hints may be lost, late, doubled or wrong. */
export interface Hints {
  /** Grows with every hint that is worth a look. */
  readonly count: number;
  /** When the first came since the last call of `take`, and when the last came at all, by the clock. */
  readonly firstMs: number | undefined;
  readonly lastMs: number;
  /** Resolves once `count` is above `seen`, or when the signal aborts. Never rejects. */
  after(seen: number, signal: AbortSignal): Promise<void>;
  /** What was hinted at since the last call. */
  take(): Hinted;
  /**
   * From now on these directories are watched, and no others; one that was replaced is watched anew. Resolves when no
   * change in them can be missed, and gives those that were not watched (like this) before. `suspects`: only these can
   * have been replaced.
   */
  follow(directories: ReadonlyMap<string, Interest>, suspects?: ReadonlySet<string>): Promise<readonly string[]>;
  /** Whether this very directory is being watched. */
  isFollowing(directory: string): boolean;
  close(): Promise<void>;
}

/** Hints from nothing but a clock: for network drives, and where watching is not possible. */
export function pollingHints(intervalMs: number, clock: Clock): Hints {
  const bell = new Bell();
  let firstMs: number | undefined;
  let taken = 0;
  const timer = setInterval(() => {
    firstMs ??= clock.now();
    bell.ring();
  }, intervalMs);
  return {
    get count() {
      return bell.count;
    },
    get firstMs() {
      return firstMs;
    },
    // The interval says nothing of when a change was made: nothing is gained by waiting after it.
    lastMs: 0,
    after: (seen, signal) => bell.after(seen, signal),
    take() {
      const hinted = { count: bell.count - taken, firstMs, places: undefined };
      taken = bell.count;
      firstMs = undefined;
      return hinted;
    },
    follow: async () => [],
    isFollowing: () => false,
    close: async () => clearInterval(timer),
  };
}
