import type { Clock } from "../../src/clock.ts";

type Sleeper = { readonly atMs: number; readonly wake: () => void };

/** Turns of the event loop that work which does not sleep is given before time goes on. */
const TURNS = 25;

/** Time that goes on only when it is told to: minutes pass in a moment. */
export class VirtualClock implements Clock {
  #nowMs = 0;
  readonly #sleepers = new Set<Sleeper>();
  /** Every sleep that was asked for: when, and for how long. */
  readonly sleeps: { readonly atMs: number; readonly ms: number }[] = [];

  now(): number {
    return this.#nowMs;
  }

  random(): number {
    return 1;
  }

  sleep(ms: number, signal: AbortSignal): Promise<void> {
    this.sleeps.push({ atMs: this.#nowMs, ms });
    return new Promise((resolve, reject) => {
      const sleeper: Sleeper = {
        atMs: this.#nowMs + ms,
        wake: () => {
          this.#sleepers.delete(sleeper);
          signal.removeEventListener("abort", end);
          resolve();
        },
      };
      const end = () => {
        this.#sleepers.delete(sleeper);
        reject(new Error("given up"));
      };
      signal.addEventListener("abort", end, { once: true });
      this.#sleepers.add(sleeper);
    });
  }

  /** Lets `ms` pass, waking everybody in turn. */
  async pass(ms: number): Promise<void> {
    const endMs = this.#nowMs + ms;
    for (;;) {
      await this.#work();
      const [next] = [...this.#sleepers].toSorted((one, other) => one.atMs - other.atMs);
      if (next === undefined || next.atMs > endMs) break;
      this.#nowMs = Math.max(this.#nowMs, next.atMs);
      next.wake();
    }
    this.#nowMs = endMs;
    await this.#work();
  }

  /** Lets time pass until `isTrue`. */
  async until(isTrue: () => boolean, longestMs = 3_600_000): Promise<void> {
    const endMs = this.#nowMs + longestMs;
    while (!isTrue()) {
      if (this.#nowMs > endMs) throw new Error(`not within ${longestMs} ms of virtual time`);
      await this.pass(50);
    }
  }

  /** What is under way goes on for as long as it needs nothing but turns of the event loop and the file system. */
  async #work(): Promise<void> {
    for (let turn = 0; turn < TURNS; turn += 1) await new Promise((resolve) => setTimeout(resolve, 0));
  }
}
