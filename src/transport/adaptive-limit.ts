import { hasCode } from "../errors.ts";
import { abortedError, throwIfAborted } from "./retry-policy.ts";

type Waiter = { readonly start: () => void };

/**
 * Bounds how many requests are under way at once. A throttled one halves the bound, a full round of successes widens it
 * by one, up to `max`. One is shared by everything that talks to the same service.
 */
export class AdaptiveLimit {
  readonly #max: number;
  #bound: number;
  #underWay = 0;
  readonly #queue: Waiter[] = [];
  #successes = 0;
  /** Grows with each halving; a burst of refusals sent under the same bound counts once. */
  #generation = 0;

  constructor(max: number) {
    this.#max = Math.max(1, Math.floor(max));
    this.#bound = this.#max;
  }

  /** The bound now in force. */
  get concurrency(): number {
    return this.#bound;
  }

  /**
   * Runs `request` as soon as there is room. A signal that aborts while it waits means that it never runs.
   * `isUrgent`: before all others that wait.
   */
  async run<T>(request: () => Promise<T>, signal: AbortSignal, isUrgent = false): Promise<T> {
    await this.#enter(signal, isUrgent);
    const generation = this.#generation;
    try {
      throwIfAborted(signal);
      const result = await request();
      this.#grow();
      return result;
    } catch (error) {
      if (hasCode(error, "THROTTLED") && generation === this.#generation) this.#shrink();
      throw error;
    } finally {
      this.#underWay -= 1;
      this.#startNext();
    }
  }

  async #enter(signal: AbortSignal, isUrgent: boolean): Promise<void> {
    throwIfAborted(signal);
    if (this.#underWay < this.#bound && (isUrgent || this.#queue.length === 0)) {
      this.#underWay += 1;
      return;
    }
    await new Promise<void>((resolve, reject) => {
      const leave = () => {
        const at = this.#queue.indexOf(waiter);
        if (at >= 0) this.#queue.splice(at, 1);
        reject(abortedError(signal));
      };
      const waiter: Waiter = {
        start: () => {
          signal.removeEventListener("abort", leave);
          resolve();
        },
      };
      signal.addEventListener("abort", leave, { once: true });
      if (isUrgent) this.#queue.unshift(waiter);
      else this.#queue.push(waiter);
    });
  }

  #startNext(): void {
    while (this.#underWay < this.#bound) {
      const next = this.#queue.shift();
      if (next === undefined) return;
      this.#underWay += 1;
      next.start();
    }
  }

  #grow(): void {
    this.#successes += 1;
    if (this.#successes < this.#bound || this.#bound >= this.#max) return;
    this.#successes = 0;
    this.#bound += 1;
  }

  #shrink(): void {
    this.#generation += 1;
    this.#successes = 0;
    this.#bound = Math.max(1, Math.floor(this.#bound / 2));
  }
}
