import { plural } from "../plural.ts";
import type { Phase, ProgressEvent } from "../progress.ts";
import { describeWaiting } from "./describe-waiting.ts";
import { formatBytes, formatDuration } from "./quantities.ts";

const BAR_WIDTH = 24;
/** A rate over less time than this says nothing. */
const LEAST_RATE_MS = 500;

const phaseNames: Readonly<Record<Phase, string>> = {
  sources: "reading sources",
  scan: "scanning the session",
  deliver: "sending",
  commit: "applying",
  run: "running commands",
};

/** What a command is busy with, from the events so far. Pure: the time is passed in, in milliseconds. */
export class ProgressState {
  readonly #startedMs: number;
  /** What is under way, the latest last. */
  #open: readonly string[] = [];
  #waiting: string | undefined;
  #bytes: { readonly sinceMs: number; readonly done: number; readonly total: number } | undefined;
  #steps: { readonly done: number; readonly total: number } | undefined;

  constructor(nowMs: number) {
    this.#startedMs = nowMs;
  }

  /** Whether anything is under way. */
  get isBusy(): boolean {
    return this.#open.length > 0;
  }

  /** Something that is no phase of a reconciliation, such as `connecting`. */
  begin(what: string): void {
    this.#open = [...this.#open, what];
  }

  end(what: string): void {
    this.#open = this.#open.filter((other) => other !== what);
    this.#waiting = undefined;
  }

  onEvent(event: ProgressEvent, nowMs: number): void {
    // Until something else happens this is what it is about.
    this.#waiting = event.type === "waiting" ? describeWaiting(event) : undefined;
    switch (event.type) {
      case "phase-start":
        this.#bytes = undefined;
        this.#steps = undefined;
        this.begin(phaseNames[event.phase]);
        return;
      case "phase-end":
        this.end(phaseNames[event.phase]);
        return;
      case "bytes": {
        const sinceMs = this.#bytes?.sinceMs ?? nowMs;
        this.#bytes = { sinceMs, done: event.doneBytes, total: event.totalBytes };
        return;
      }
      case "step":
        this.#steps = { done: (this.#steps?.done ?? 0) + 1, total: event.total };
        return;
      case "output":
      case "waiting":
      case "notice":
        return;
    }
  }

  /** `applying [=====   ] 1.2 MB of 3.4 MB, 0.6 MB/s, 4 s left, 40 of 281 steps, 12 s`, the bar only if wished. */
  text(nowMs: number, hasBar: boolean): string {
    const elapsedMs = nowMs - this.#startedMs;
    const elapsed = elapsedMs < 1000 ? [] : [formatDuration(Math.floor(elapsedMs / 1000) * 1000).replace(".0 s", " s")];
    if (this.#waiting !== undefined) return this.#waiting;
    const bytes = this.#bytesText(nowMs, hasBar);
    const steps = this.#steps === undefined ? [] : [`${this.#steps.done} of ${plural(this.#steps.total, "step")}`];
    const [first = "", ...rest] = [...bytes, ...steps, ...elapsed];
    return [`${this.#what}${first === "" ? "" : `${first.startsWith("[") ? " " : ": "}${first}`}`, ...rest].join(", ");
  }

  /** After the last byte the session is at work, and says nothing until it has done everything. */
  get #what(): string {
    const what = this.#open.at(-1) ?? "working";
    const isSent = this.#bytes !== undefined && this.#bytes.done >= this.#bytes.total;
    return what === phaseNames.commit && isSent && this.#steps === undefined
      ? "unpacking and verifying in the session"
      : what;
  }

  #bytesText(nowMs: number, hasBar: boolean): readonly string[] {
    if (this.#bytes === undefined || this.#bytes.total === 0) return [];
    const { done, total, sinceMs } = this.#bytes;
    if (done >= total) return [`${formatBytes(total)} sent`];
    const tenths = Math.round(Math.min(1, done / total) * BAR_WIDTH);
    const bar = hasBar ? `[${"=".repeat(tenths).padEnd(BAR_WIDTH, " ")}] ` : "";
    const ms = nowMs - sinceMs;
    const rate = ms < LEAST_RATE_MS ? 0 : (done * 1000) / ms;
    const speed = rate > 0 ? [`${formatBytes(Math.round(rate))}/s`, `${Math.ceil((total - done) / rate)} s left`] : [];
    return [`${bar}${formatBytes(done)} of ${formatBytes(total)}`, ...speed];
  }
}
