/** A call that nothing has come back for yet. */
export type PendingCall = {
  readonly what: string;
  readonly attempts: number;
  /** Which try is under way, from 1. */
  attempt: number;
};

/** For people: what is waited for, which try that is, and for how long nothing has come. */
export type Waiting = {
  readonly what: string;
  readonly attempt: number;
  readonly attempts: number;
  readonly silentMs: number;
};

export type SilenceOptions = {
  readonly onWaiting?: ((waiting: Waiting) => void) | undefined;
  /** Called with each report of a silence: somebody may look for its reason. */
  readonly onSilence: () => void;
  /** How long nothing must come for a silence. Default five seconds. */
  readonly silenceMs?: number | undefined;
};

/** A silence counts from here (S44), and is told again each time it has grown by twice as much. */
const SILENCE_MS = 5000;

/** Notices when calls are under way and none of them gets anywhere. */
export class SilenceWatch {
  readonly #options: SilenceOptions;
  readonly #silenceMs: number;
  readonly #calls = new Set<PendingCall>();
  #timer: NodeJS.Timeout | undefined;
  #heardMs = 0;

  constructor(options: SilenceOptions) {
    this.#options = options;
    this.#silenceMs = options.silenceMs ?? SILENCE_MS;
  }

  begin(what: string, attempts: number): PendingCall {
    const call = { what, attempts, attempt: 1 };
    if (this.#calls.size === 0) this.heard();
    this.#calls.add(call);
    this.#timer ??= this.#after(this.#silenceMs);
    return call;
  }

  /** Something came, or went on its way. */
  heard(): void {
    this.#heardMs = performance.now();
  }

  end(call: PendingCall): void {
    this.#calls.delete(call);
    if (this.#calls.size > 0) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #after(ms: number): NodeJS.Timeout {
    const timer = setTimeout(() => this.#check(), ms);
    // A timer of ours must not keep a process that has nothing else to do.
    timer.unref();
    return timer;
  }

  #check(): void {
    const [oldest] = this.#calls;
    if (oldest === undefined) return;
    const silentMs = performance.now() - this.#heardMs;
    if (silentMs < this.#silenceMs) {
      this.#timer = this.#after(this.#silenceMs - silentMs);
      return;
    }
    this.#timer = this.#after(2 * this.#silenceMs);
    const { what, attempt, attempts } = oldest;
    this.#options.onWaiting?.({ what, attempt, attempts, silentMs: Math.round(silentMs) });
    this.#options.onSilence();
  }
}
