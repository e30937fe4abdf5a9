import type { Clock } from "../clock.ts";
import type { Hints } from "./hints.ts";

/** The longest that a timer of Node can wait. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** Waits; ends early, without an error, when the signal aborts. */
export async function pause(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await clock.sleep(Math.min(Math.max(0, ms), LONGEST_TIMER_MS), signal).catch((error: unknown) => {
    if (!signal.aborted) throw error;
  });
}

/** Runs waits beside one another until the first of them ends or the signal aborts; the others are given up. */
export async function firstOf(
  signal: AbortSignal,
  waits: readonly ((signal: AbortSignal) => Promise<void>)[],
): Promise<void> {
  const end = new AbortController();
  const stop = () => end.abort();
  signal.addEventListener("abort", stop);
  if (signal.aborted) stop();
  try {
    await Promise.race(waits.map((wait) => wait(end.signal)));
  } finally {
    signal.removeEventListener("abort", stop);
    stop();
  }
}

/** Waits until nothing was hinted at for `quietMs`, at most until `endMs` by the clock (W6, W7). */
export async function settle(
  hints: Hints,
  quietMs: number,
  endMs: number,
  clock: Clock,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    const leftMs = Math.min(hints.lastMs + quietMs, endMs) - clock.now();
    if (leftMs <= 0) return;
    await pause(clock, leftMs, signal);
  }
}

/** Between tries at a session that does not answer. */
const SHORTEST_MS = 500;
const LONGEST_MS = 30_000;

/** Waits between tries: 0.5 s to 30 s, doubled each time, with jitter (W18). */
export class Backoff {
  readonly #clock: Clock;
  #tries = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  nextMs(): number {
    const ceilingMs = Math.min(LONGEST_MS, SHORTEST_MS * 2 ** this.#tries);
    this.#tries += 1;
    return Math.max(SHORTEST_MS, ceilingMs * (0.5 + this.#clock.random() * 0.5));
  }

  reset(): void {
    this.#tries = 0;
  }
}
