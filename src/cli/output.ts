/**
 * Standard output whose reader may go away (`| head`) and whose disk may be full: writing never fails, the command goes
 * on without. Every command prints through one of these; help does too, so it stands on nothing else.
 */
export class Output {
  /** Why results were lost, other than that nobody reads them any more. The process ends with exit 1 then. */
  fault: Error | undefined;
  /** Called when the reader has gone, for commands that have no other end than that. */
  onReaderGone: () => void = () => undefined;
  #isClosed = false;

  constructor() {
    process.stdout.on("error", (error: Error & { readonly code?: string }) => {
      if (this.#isClosed) return;
      this.#isClosed = true;
      if (error.code === "EPIPE") this.onReaderGone();
      else this.fault = error;
    });
  }

  write(text: string): void {
    if (!this.#isClosed) process.stdout.write(text);
  }

  /**
   * Bytes as they are. Resolves when the reader has taken them, so that a slow one is waited for, when there is none any
   * more, or when the signal aborts.
   */
  async writeBytes(name: "stdout" | "stderr", bytes: Uint8Array, signal: AbortSignal): Promise<void> {
    if (this.#isClosed) return;
    const stream = process[name];
    if (stream.listenerCount("error") === 0) stream.on("error", () => undefined);
    await new Promise<void>((resolve) => {
      const end = () => resolve();
      signal.addEventListener("abort", end, { once: true });
      stream.write(bytes, (error) => {
        signal.removeEventListener("abort", end);
        if (error !== null && error !== undefined && name === "stderr") this.onReaderGone();
        resolve();
      });
      if (signal.aborted) resolve();
    });
  }

  /** To standard error. When that is lost there is nobody to tell. */
  writeError(text: string): void {
    if (process.stderr.listenerCount("error") === 0) process.stderr.on("error", () => undefined);
    process.stderr.write(text);
  }

  /** Resolves when everything was written or has failed. */
  async flush(): Promise<void> {
    if (!this.#isClosed) await new Promise<void>((resolve) => process.stdout.write("", () => resolve()));
  }
}
