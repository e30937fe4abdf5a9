/** Tells that something happened. A wait that is given up leaves nothing behind, and takes nothing from others. */
export class Bell {
  #count = 0;
  readonly #waiting = new Set<() => void>();

  /** How often it was rung. */
  get count(): number {
    return this.#count;
  }

  ring(): void {
    this.#count += 1;
    for (const wake of this.#waiting) wake();
  }

  /** Resolves once `count` is above `seen`, or when the signal aborts. Never rejects. */
  async after(seen: number, signal: AbortSignal): Promise<void> {
    if (this.#count > seen || signal.aborted) return;
    await new Promise<void>((resolve) => {
      const end = () => {
        this.#waiting.delete(end);
        signal.removeEventListener("abort", end);
        resolve();
      };
      this.#waiting.add(end);
      signal.addEventListener("abort", end);
    });
  }
}
