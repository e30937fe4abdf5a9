import type { ProgressEvent } from "../progress.ts";
import { describeWaiting } from "./describe-waiting.ts";
import { formatBytes } from "./quantities.ts";

/** Redrawn at most this often. */
const INTERVAL_MS = 100;
const WIDTH = 24;

const phaseNames: Readonly<Record<string, string>> = {
  connect: "connecting",
  sources: "reading sources",
  scan: "scanning the session",
  plan: "planning",
  lock: "waiting for the lock",
  deliver: "sending",
  commit: "applying",
  verify: "verifying",
  run: "running",
};

/** One live line on a terminal: phase, bar, bytes, rate and time left. Counters only, so that no width is guessed. */
export class ProgressBar {
  readonly #stream: NodeJS.WriteStream;
  readonly #startedMs = performance.now();
  #phase = "";
  #waiting: string | undefined;
  #done = 0;
  #total = 0;
  #drawnMs = 0;
  #isShown = false;

  constructor(stream: NodeJS.WriteStream) {
    this.#stream = stream;
  }

  onEvent(event: ProgressEvent): void {
    if (event.type === "phase-start") this.#phase = event.phase;
    // Until something else happens this is what it is about.
    this.#waiting = event.type === "waiting" ? describeWaiting(event) : undefined;
    if (event.type === "bytes") {
      this.#done = event.doneBytes;
      this.#total = event.totalBytes;
    }
    const nowMs = performance.now();
    const isNow = event.type === "phase-start" || event.type === "waiting";
    if (nowMs - this.#drawnMs < INTERVAL_MS && !isNow) return;
    this.#drawnMs = nowMs;
    this.#draw((nowMs - this.#startedMs) / 1000);
  }

  /** Removes the line; what is printed next starts in its place. */
  clear(): void {
    if (!this.#isShown) return;
    this.#stream.cursorTo(0);
    this.#stream.clearLine(0);
    this.#isShown = false;
  }

  #draw(seconds: number): void {
    this.clear();
    const share = this.#total > 0 ? Math.min(1, this.#done / this.#total) : 0;
    const bar = "=".repeat(Math.round(share * WIDTH)).padEnd(WIDTH, " ");
    const rate = seconds > 0 ? this.#done / seconds : 0;
    const left = rate > 0 ? `, ${Math.ceil((this.#total - this.#done) / rate)} s left` : "";
    const bytes =
      this.#total > 0
        ? ` [${bar}] ${formatBytes(this.#done)} of ${formatBytes(this.#total)}, ${formatBytes(rate)}/s${left}`
        : "";
    const text = this.#waiting ?? `${phaseNames[this.#phase] ?? this.#phase}${bytes}`;
    this.#stream.write(text.slice(0, Math.max(20, (this.#stream.columns ?? 80) - 1)));
    this.#isShown = true;
  }
}
