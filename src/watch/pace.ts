import { once } from "node:events";
import { existsSync } from "node:fs";
import { setTimeout as wait } from "node:timers/promises";
import type { Hints } from "./file-hints.ts";

/** Waits until nothing was hinted at for `quietMs`, for at most `longestMs` (W6, W7). */
export async function settle(hints: Hints, quietMs: number, longestMs: number, signal: AbortSignal): Promise<void> {
  const endMs = performance.now() + longestMs;
  for (;;) {
    const leftMs = endMs - performance.now();
    if (leftMs <= 0 || signal.aborted) return;
    const isQuiet = await Promise.race([
      hints.next().then(() => false),
      pause(Math.min(quietMs, leftMs), signal).then(() => true),
    ]);
    if (isQuiet) return;
  }
}

/** Git holds its index while it changes files: half a checkout is not worth sending (W15). */
export async function whileGitWorks(directories: readonly string[], longestMs: number, signal: AbortSignal) {
  const endMs = performance.now() + longestMs;
  const isBusy = () => directories.some((directory) => existsSync(`${directory}/.git/index.lock`));
  while (isBusy() && performance.now() < endMs && !signal.aborted) await pause(20, signal);
}

/** Waits; ends early, without an error, when the signal aborts. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await wait(Math.max(0, ms), undefined, { signal }).catch(() => undefined);
}

/** Resolves when the signal aborts. */
export async function aborted(signal: AbortSignal): Promise<void> {
  if (!signal.aborted) await once(signal, "abort");
}

/** Waits between tries: 0.5 s to 30 s, doubled each time, with jitter (W18). */
export class Backoff {
  #tries = 0;

  nextMs(): number {
    const ceilingMs = Math.min(30_000, 500 * 2 ** this.#tries);
    this.#tries += 1;
    return ceilingMs * (0.5 + Math.random() * 0.5);
  }

  reset(): void {
    this.#tries = 0;
  }
}
