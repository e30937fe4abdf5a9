import { type Clock, systemClock } from "../clock.ts";
import { hasCode, TransportError } from "../errors.ts";

/** How often and how patiently a call is repeated. */
export type RetryPolicy = {
  /** Tries of one call, the first included. */
  readonly attempts: number;
  /** Upper end of the first wait; doubles with each try. */
  readonly baseDelayMs: number;
  readonly maxDelayMs: number;
  /** Longest Retry-After that is waited for; a longer one ends the call. */
  readonly maxRetryAfterMs: number;
};

/** Six tries over at most half a minute, for calls over the internet. */
export const DEFAULT_RETRY_POLICY: RetryPolicy = {
  attempts: 6,
  baseDelayMs: 250,
  maxDelayMs: 10_000,
  maxRetryAfterMs: 60_000,
};

/**
 * Retries that all calls of one session may still spend: each costs one, each success gives half of one back. A service
 * that is down is so asked a bounded number of times, not `attempts` times for each of thousands of calls.
 */
export class RetryBudget {
  #left: number;
  readonly #size: number;

  constructor(size = 60) {
    this.#left = size;
    this.#size = size;
  }

  /** Takes one retry; false when none is left. */
  spend(): boolean {
    if (this.#left < 1) return false;
    this.#left -= 1;
    return true;
  }

  /** Notes a success. */
  refund(): void {
    this.#left = Math.min(this.#size, this.#left + 0.5);
  }
}

/** What `retry` works with. `mayRetry` narrows the errors worth another try; the default is every retryable one. */
export type RetryOptions = {
  readonly policy?: RetryPolicy;
  readonly clock?: Clock;
  readonly budget?: RetryBudget;
  readonly mayRetry?: (error: TransportError) => boolean;
  /** Told before each wait. */
  readonly onRetry?: (error: TransportError, delayMs: number) => void;
};

/**
 * Calls `operation` until it succeeds, fails for good, or the policy ends. Waits are drawn from [0, base × 2^n]
 * (full jitter), never shorter than what the server asked for. `attempt` counts from 0.
 * @throws the last error as it came; `ABORTED` when the signal aborts before or between tries.
 */
export async function retry<T>(
  operation: (attempt: number) => Promise<T>,
  signal: AbortSignal,
  options: RetryOptions = {},
): Promise<T> {
  const { policy = DEFAULT_RETRY_POLICY, clock = systemClock, budget, mayRetry } = options;
  for (let attempt = 0; ; attempt++) {
    throwIfAborted(signal);
    try {
      const result = await operation(attempt);
      budget?.refund();
      return result;
    } catch (error) {
      if (!(error instanceof TransportError) || !(mayRetry?.(error) ?? error.retryable)) throw error;
      const askedMs = error.retryAfterMs ?? 0;
      if (attempt + 1 >= policy.attempts || askedMs > policy.maxRetryAfterMs || budget?.spend() === false) throw error;
      const delayMs = Math.max(
        askedMs,
        clock.random() * Math.min(policy.maxDelayMs, policy.baseDelayMs * 2 ** attempt),
      );
      options.onRetry?.(error, delayMs);
      await sleepOrAbort(clock, delayMs, signal);
    }
  }
}

/** Waits; @throws `ABORTED` when `signal` ends the wait. */
export async function sleepOrAbort(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  throwIfAborted(signal);
  try {
    await clock.sleep(ms, signal);
  } catch (cause) {
    throwIfAborted(signal);
    throw cause;
  }
}

/** True for failures that say that the call was never carried out: even one that must not be doubled may be repeated. */
export function wasNotCarriedOut(error: unknown): boolean {
  return hasCode(error, "THROTTLED", "UNREACHABLE");
}

/** @throws {TransportError} as {@link abortedError} when `signal` is aborted. */
export function throwIfAborted(signal: AbortSignal): void {
  if (signal.aborted) throw abortedError(signal);
}

/** The error for a call that was given up because `signal` aborted: `TIMEOUT` when its time was over, else `ABORTED`. */
export function abortedError(signal: AbortSignal): TransportError {
  const cause: unknown = signal.reason;
  if (cause instanceof TransportError) return cause;
  // What `AbortSignal.timeout` gives as the reason.
  if (cause instanceof Error && cause.name === "TimeoutError") {
    return new TransportError("TIMEOUT", "the session did not do in time what had to be done at the end", {
      hint: "apply again: it goes on from what is there",
      cause,
    });
  }
  return new TransportError("ABORTED", "stopped before the call was finished", { cause });
}
