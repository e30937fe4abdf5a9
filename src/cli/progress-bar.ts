import type { ProgressEvent } from "../progress.ts";
import { ProgressState } from "./progress-state.ts";

/** Redrawn at most this often. */
const INTERVAL_MS = 100;
/** The time that has passed is seen to pass, whatever else happens. */
const TICK_MS = 1000;
/** Plain lines come so often: a longer silence looks like a fault. */
const PLAIN_MS = 5000;

/** Where progress is shown while something is under way. */
export interface ProgressView {
  onEvent(event: ProgressEvent): void;
  begin(what: string): void;
  end(what: string): void;
  /** Removes what stands on the screen; it comes back. */
  clear(): void;
  /** Removes it until something else happens. */
  rest(): void;
}

/** One live line on a terminal: phase, bar, bytes, rate and time left. Counters only, so that no width is guessed. */
export class ProgressBar implements ProgressView {
  readonly #stream: NodeJS.WriteStream;
  readonly #state = new ProgressState(performance.now());
  #drawnMs = 0;
  #isShown = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(stream: NodeJS.WriteStream) {
    this.#stream = stream;
  }

  onEvent(event: ProgressEvent): void {
    const nowMs = performance.now();
    this.#state.onEvent(event, nowMs);
    const isNow = event.type === "phase-start" || event.type === "waiting";
    if (nowMs - this.#drawnMs < INTERVAL_MS && !isNow) return;
    this.#draw();
  }

  begin(what: string): void {
    this.#state.begin(what);
    this.#draw();
  }

  end(what: string): void {
    this.#state.end(what);
    if (!this.#state.isBusy) this.rest();
  }

  clear(): void {
    if (!this.#isShown) return;
    this.#stream.cursorTo(0);
    this.#stream.clearLine(0);
    this.#isShown = false;
  }

  rest(): void {
    clearTimeout(this.#timer);
    this.clear();
  }

  #draw(): void {
    clearTimeout(this.#timer);
    this.clear();
    const nowMs = performance.now();
    this.#drawnMs = nowMs;
    const text = this.#state.text(nowMs, true);
    this.#stream.write(text.slice(0, Math.max(20, (this.#stream.columns ?? 80) - 1)));
    this.#isShown = true;
    if (!this.#state.isBusy) return;
    this.#timer = setTimeout(() => this.#draw(), TICK_MS);
    this.#timer.unref();
  }
}

/** Where there is no terminal: a line now and then, so that a log never stands still. */
export class ProgressLines implements ProgressView {
  readonly #say: (text: string) => void;
  readonly #state = new ProgressState(performance.now());
  #timer: NodeJS.Timeout | undefined;

  constructor(say: (text: string) => void) {
    this.#say = say;
  }

  onEvent(event: ProgressEvent): void {
    this.#state.onEvent(event, performance.now());
    // Both say something themselves.
    if (event.type === "waiting") this.#say(this.#state.text(performance.now(), false));
    this.#schedule(event.type === "waiting" || event.type === "output" || event.type === "notice");
  }

  begin(what: string): void {
    this.#state.begin(what);
    this.#schedule(false);
  }

  end(what: string): void {
    this.#state.end(what);
    this.#schedule(false);
  }

  clear(): void {}

  rest(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #schedule(isAnew: boolean): void {
    if (isAnew || !this.#state.isBusy) this.rest();
    if (!this.#state.isBusy || this.#timer !== undefined) return;
    this.#timer = setTimeout(() => {
      this.rest();
      this.#say(this.#state.text(performance.now(), false));
      this.#schedule(false);
    }, PLAIN_MS);
    this.#timer.unref();
  }
}
