/** How long synchronous work may go on before signals and timers get a turn, the renewal of the lock among them. */
const TURN_MS = 20;

/**
 * Gives way to the event loop from time to time. However many operations share one of these, all of them pause
 * together: microtasks alone would keep the loop from turning.
 */
export class Turns {
  #sinceMs = performance.now();
  #pause: Promise<void> | undefined;

  /** Undefined while there is time left, so that nobody waits for nothing. */
  next(): Promise<void> | undefined {
    if (this.#pause === undefined && performance.now() - this.#sinceMs >= TURN_MS) this.#pause = this.#take();
    return this.#pause;
  }

  async #take(): Promise<void> {
    await new Promise<void>((resolve) => setImmediate(resolve));
    this.#sinceMs = performance.now();
    this.#pause = undefined;
  }
}
