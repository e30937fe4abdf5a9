import { setMaxListeners } from "node:events";
import { type Clock, systemClock } from "../clock.ts";
import { hasCode, TransportError } from "../errors.ts";
import { AdaptiveLimit } from "./adaptive-limit.ts";
import { deadline } from "./deadline.ts";
import {
  DEFAULT_RETRY_POLICY,
  RetryBudget,
  type RetryOptions,
  type RetryPolicy,
  retry,
  wasNotCarriedOut,
} from "./retry-policy.ts";
import { SilenceWatch, type Waiting } from "./silence-watch.ts";
import type { Counters } from "./transport.ts";

/** Requests at a time, unless the caller says otherwise. */
export const DEFAULT_CONCURRENCY = 16;

/** One request, for whoever sends it. */
export type RequestKind = {
  /** What is being done, for messages: `list the sessions`. */
  readonly what: string;
  readonly repeats: Repeats;
};

/**
 * When a failed request is made again: "always" where made twice it ends like made once; "if-refused" only after a
 * failure that says that it was not carried out; "never" where somebody else decides.
 */
export type Repeats = "always" | "if-refused" | "never";

/** Gives why the session can serve no request any more; undefined while it lives. One request. */
type Look = (signal: AbortSignal) => Promise<TransportError | undefined>;

/** Failures that the end of the session may be behind. */
const doubtful = ["BAD_ANSWER", "UNAVAILABLE", "TIMEOUT"] as const;
/** A look that has to wait for room, or for its answer, is given up after so long. */
const LONGEST_LOOK_MS = 15_000;

export type RequestsOptions = {
  readonly concurrency?: number;
  readonly policy?: RetryPolicy;
  readonly clock?: Clock;
  /** Told when nothing has come for so long; five seconds by default. */
  readonly silenceMs?: number;
  readonly onWaiting?: ((waiting: Waiting) => void) | undefined;
};

/**
 * The one place where requests to a service leave: each waits for room under the limit, and is repeated by itself where
 * that is safe. One is shared by everything that talks for one account, so that the limit is one.
 */
export class Requests {
  readonly counters: Counters;
  readonly policy: RetryPolicy;
  readonly #limit: AdaptiveLimit;
  readonly #options: RetryOptions;
  readonly #silence: SilenceWatch;
  readonly #underWay = new Set<AbortController>();
  /** Why no request makes sense any more. */
  #end: TransportError | undefined;
  #look: Look | undefined;
  #looking: Promise<void> | undefined;
  #stopLooking = (): void => undefined;

  constructor(counters: Counters, options: RequestsOptions = {}) {
    const { concurrency = DEFAULT_CONCURRENCY, policy = DEFAULT_RETRY_POLICY, clock = systemClock } = options;
    this.counters = counters;
    this.policy = policy;
    this.#limit = new AdaptiveLimit(concurrency);
    const onRetry = () => (counters.retries += 1);
    this.#options = { policy, clock, budget: new RetryBudget(), onRetry };
    this.#silence = new SilenceWatch({
      onWaiting: options.onWaiting,
      onSilence: () => void this.#lookAtSession(),
      silenceMs: options.silenceMs,
    });
  }

  /** The bound now in force. */
  get concurrency(): number {
    return this.#limit.concurrency;
  }

  /**
   * One request with its repetitions. `send` makes it once, and judges its answer: an answer that cannot be used is a
   * failure like any other. @throws the last failure; `ABORTED`.
   */
  async run<T>(
    { what, repeats }: RequestKind,
    send: (signal: AbortSignal) => Promise<T>,
    signal: AbortSignal,
  ): Promise<T> {
    if (this.#end !== undefined) throw this.#end;
    // One signal stops many requests at once: that many listeners are meant, and no leak to warn of.
    setMaxListeners(0, signal);
    const own = new AbortController();
    const stop = () => own.abort(signal.reason);
    if (signal.aborted) stop();
    signal.addEventListener("abort", stop, { once: true });
    this.#underWay.add(own);
    const call = this.#silence.begin(what, this.policy.attempts);
    const once = async (attempt: number) => {
      call.attempt = attempt + 1;
      const result = await this.#limit.run(async () => await send(own.signal), own.signal);
      this.#silence.heard();
      return result;
    };
    const mayRetry = (error: TransportError) =>
      error.retryable && repeats !== "never" && (repeats === "always" || wasNotCarriedOut(error));
    try {
      return await retry(once, own.signal, { ...this.#options, mayRetry });
    } catch (error) {
      if (hasCode(error, "SESSION_GONE") && error instanceof TransportError && this.#look !== undefined)
        this.#endAll(error);
      else if (!signal.aborted && hasCode(error, ...doubtful)) await this.#lookAtSession();
      throw this.#end !== undefined && !signal.aborted ? this.#end : error;
    } finally {
      this.#silence.end(call);
      this.#underWay.delete(own);
      if (this.#underWay.size === 0) this.#stopLooking();
      signal.removeEventListener("abort", stop);
    }
  }

  /** Bytes of a long transfer went on their way. */
  heard(): void {
    this.#silence.heard();
  }

  /**
   * Repeats what must not be doubled: after a failure that leaves open whether it was carried out, `isDone` looks first.
   * `call` makes one request that repeats if refused.
   */
  async afterLook(call: () => Promise<unknown>, isDone: () => Promise<boolean>, signal: AbortSignal): Promise<void> {
    let isOpen = false;
    let isLooking = false;
    // What was certainly not carried out, and every look, has been repeated already.
    const mayRetry = (error: TransportError) => !isLooking && error.retryable && !wasNotCarriedOut(error);
    await retry(
      async () => {
        isLooking = isOpen;
        if (isOpen && (await isDone())) return;
        isLooking = false;
        isOpen = true;
        await call();
      },
      signal,
      { ...this.#options, mayRetry },
    );
  }

  /** Repeats work of several requests for a failure of its own; each request has been repeated by itself. */
  async again<T>(
    work: () => Promise<T>,
    mayRetry: (error: TransportError) => boolean,
    signal: AbortSignal,
  ): Promise<T> {
    return await retry(work, signal, { ...this.#options, mayRetry });
  }

  /**
   * While requests wait for long, and when one fails in a way that leaves it open, `look` is asked whether the session
   * lives; what it gives ends them all, and is what every later one ends with.
   */
  watchOver(look: Look): void {
    this.#look = look;
  }

  /** One look at a time, however many ask for it. */
  async #lookAtSession(): Promise<void> {
    const look = this.#look;
    if (look === undefined || this.#end !== undefined) return;
    this.#looking ??= this.#lookOnce(look).finally(() => {
      this.#looking = undefined;
    });
    await this.#looking;
  }

  /** What hangs would be waited for when the session is closed. */
  #endAll(reason: TransportError): void {
    this.#end ??= reason;
    for (const one of this.#underWay) one.abort(reason);
  }

  async #lookOnce(look: Look): Promise<void> {
    const late = deadline(LONGEST_LOOK_MS);
    this.#stopLooking = late.end;
    try {
      const found = await this.#limit.run(async () => await look(late.signal), late.signal, true);
      if (found !== undefined) this.#endAll(found);
    } catch {
      // That it cannot be asked now says nothing about the session.
    } finally {
      late.free();
    }
  }
}
