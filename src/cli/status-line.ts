import { plural } from "../plural.ts";
import type { WatchState } from "../watch/watch-event.ts";

/** Redrawn at most this often. */
const INTERVAL_MS = 100;
/** The time that is left changes on the line by itself this often. */
const MINUTE_MS = 60_000;
/** No session lives longer, whatever is done in it (protocol §4.4). */
const LONGEST_SESSION_MS = 30 * MINUTE_MS;

/** The last line of a terminal: how the watch stands. Other output clears it first, and it is drawn again below. */
export class StatusLine {
  readonly #stream: NodeJS.WriteStream;
  #state: WatchState | undefined;
  /** When the session that was created last was first seen. */
  #born: { readonly id: string; readonly atMs: number } | undefined;
  #drawnMs = Number.NEGATIVE_INFINITY;
  #timer: NodeJS.Timeout | undefined;
  #isShown = false;

  constructor(stream: NodeJS.WriteStream) {
    this.#stream = stream;
  }

  show(state: WatchState): void {
    this.#state = state;
    const { session } = state;
    if (session?.isNew === true && this.#born?.id !== session.id) {
      this.#born = { id: session.id, atMs: performance.now() };
    }
    this.#schedule(Math.max(0, this.#drawnMs + INTERVAL_MS - performance.now()));
  }

  /** Removes the line; what is printed next starts in its place. */
  clear(): void {
    if (!this.#isShown) return;
    this.#stream.cursorTo(0);
    this.#stream.clearLine(0);
    this.#isShown = false;
    this.#schedule(INTERVAL_MS);
  }

  /** For good. */
  end(): void {
    this.clear();
    clearTimeout(this.#timer);
    this.#state = undefined;
  }

  #schedule(ms: number): void {
    clearTimeout(this.#timer);
    if (this.#state === undefined) return;
    this.#timer = setTimeout(() => this.#draw(), ms);
    this.#timer.unref();
  }

  #draw(): void {
    if (this.#state === undefined) return;
    this.#stream.cursorTo(0);
    this.#stream.clearLine(0);
    const nowMs = performance.now();
    const leftMs = this.#born === undefined ? undefined : this.#born.atMs + LONGEST_SESSION_MS - nowMs;
    this.#stream.write(statusText(this.#state, leftMs).slice(0, Math.max(20, (this.#stream.columns ?? 80) - 1)));
    this.#isShown = true;
    this.#drawnMs = nowMs;
    if (leftMs !== undefined) this.#schedule(MINUTE_MS);
  }
}

const activities: Readonly<Record<WatchState["activity"], string>> = {
  connecting: "connecting",
  applying: "connected, applying",
  idle: "connected",
  waiting: "waiting to try again",
};

/** `connected, session ends in 24 min or less, 3 changes queued` */
function statusText(state: WatchState, leftMs: number | undefined): string {
  const parts = [activities[state.activity]];
  if (leftMs !== undefined) parts.push(`session ends in ${Math.max(0, Math.ceil(leftMs / MINUTE_MS))} min or less`);
  if (state.queued > 0) parts.push(`${plural(state.queued, "change")} queued`);
  return parts.join(", ");
}
