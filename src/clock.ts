import { setTimeout as delay } from "node:timers/promises";

/** Time and chance, injected so that tests neither wait nor guess. */
export type Clock = {
  /** Milliseconds since any fixed moment. */
  now(): number;
  /** Resolves after `ms`, or rejects when `signal` aborts. */
  sleep(ms: number, signal: AbortSignal): Promise<void>;
  /** In [0, 1). */
  random(): number;
};

/** The real clock. */
export const systemClock: Clock = {
  now: () => performance.now(),
  sleep: (ms, signal) => delay(ms, undefined, { signal }),
  random: Math.random,
};
