import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Clock } from "../../src/clock.ts";
import type { ErrorCode } from "../../src/errors.ts";
import { TransportError } from "../../src/errors.ts";
import type { RetryPolicy } from "../../src/transport/retry-policy.ts";
import { DEFAULT_RETRY_POLICY, RetryBudget, retry, wasNotCarriedOut } from "../../src/transport/retry-policy.ts";

const { signal } = new AbortController();
const unavailable = () => new TransportError("UNAVAILABLE", "x", { retryable: true });

/** A clock that notes its sleeps and wakes at once. */
function clockOf(random: () => number = () => 1 - Number.EPSILON) {
  const sleeps: number[] = [];
  const clock: Clock = {
    now: () => 0,
    sleep: async (ms) => void sleeps.push(ms),
    random,
  };
  return { clock, sleeps };
}

/** Fails `failures` times, then gives how often it was called. */
function failing(failures: number, error: () => unknown = unavailable) {
  let calls = 0;
  return {
    call: async () => {
      calls += 1;
      if (calls <= failures) throw error();
      return calls;
    },
    calls: () => calls,
  };
}

function codeOf(error: unknown): ErrorCode | undefined {
  return error instanceof TransportError ? error.code : undefined;
}

describe("retry", () => {
  it("calls once when that succeeds, and passes the number of each attempt", async () => {
    const { clock, sleeps } = clockOf();
    const attempts: number[] = [];
    const work = async (attempt: number) => {
      attempts.push(attempt);
      if (attempt < 2) throw unavailable();
    };
    await retry(work, signal, { clock });
    expect([attempts, sleeps.length]).toEqual([[0, 1, 2], 2]);
  });

  it("draws each wait from nothing to a bound that doubles up to the longest", async () => {
    const random = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
    const property = fc.asyncProperty(fc.array(random, { minLength: 9, maxLength: 9 }), async (draws) => {
      const left = [...draws];
      const { clock, sleeps } = clockOf(() => left.shift() ?? 0);
      const policy: RetryPolicy = { attempts: 10, baseDelayMs: 250, maxDelayMs: 10_000, maxRetryAfterMs: 60_000 };
      await retry(failing(9).call, signal, { clock, policy });
      const bounds = [250, 500, 1000, 2000, 4000, 8000, 10_000, 10_000, 10_000];
      expect(sleeps).toEqual(bounds.map((bound, index) => bound * (draws[index] ?? 0)));
    });
    await fc.assert(property);
  });

  it.each([
    [0, [0, 0]],
    [100, [100, 100]],
    [70_000, []],
  ])("waits at least the %i ms that the server asked for, unless that is too long", async (retryAfterMs, expected) => {
    const { clock, sleeps } = clockOf(() => 0);
    const throttled = () => new TransportError("THROTTLED", "x", { retryable: true, retryAfterMs });
    const outcome = await retry(failing(2, throttled).call, signal, { clock }).catch(codeOf);
    expect(outcome).toBe(expected.length === 0 ? "THROTTLED" : 3);
    expect(sleeps).toEqual(expected);
  });

  it("never waits less than it drew when the server asks for little", async () => {
    const { clock, sleeps } = clockOf(() => 0.5);
    const throttled = () => new TransportError("THROTTLED", "x", { retryable: true, retryAfterMs: 1 });
    await retry(failing(1, throttled).call, signal, { clock });
    expect(sleeps).toEqual([DEFAULT_RETRY_POLICY.baseDelayMs / 2]);
  });

  it("ends after the policy's attempts with the last error as it came", async () => {
    const { clock } = clockOf();
    const errors = Array.from({ length: DEFAULT_RETRY_POLICY.attempts }, unavailable);
    const { call, calls } = failing(99, () => errors[calls() - 1]);
    await expect(retry(call, signal, { clock })).rejects.toBe(errors.at(-1));
    expect(calls()).toBe(DEFAULT_RETRY_POLICY.attempts);
  });

  it.each<readonly [name: string, error: unknown]>([
    ["a final error", new TransportError("NOT_FOUND", "x")],
    ["an error that is not ours", new Error("x")],
  ])("does not repeat %s", async (_name, error) => {
    const { call, calls } = failing(1, () => error);
    await expect(retry(call, signal, { clock: clockOf().clock })).rejects.toBe(error);
    expect(calls()).toBe(1);
  });

  it("repeats only what mayRetry allows, and tells each wait", async () => {
    const told: ErrorCode[] = [];
    const errors = [new TransportError("THROTTLED", "x", { retryable: true }), unavailable()];
    const { call, calls } = failing(2, () => errors[calls() - 1]);
    const options = {
      clock: clockOf().clock,
      mayRetry: (error: TransportError) => error.code === "THROTTLED",
      onRetry: (error: TransportError) => void told.push(error.code),
    };
    await expect(retry(call, signal, options)).rejects.toMatchObject({ code: "UNAVAILABLE" });
    expect([calls(), told]).toEqual([2, ["THROTTLED"]]);
  });

  it("spends a budget that all calls share, and successes give back half", async () => {
    const budget = new RetryBudget(3);
    const { clock } = clockOf();
    const first = failing(99);
    await expect(retry(first.call, signal, { clock, budget })).rejects.toMatchObject({ code: "UNAVAILABLE" });
    expect(first.calls()).toBe(4);
    const second = failing(1);
    await expect(retry(second.call, signal, { clock, budget })).rejects.toMatchObject({ code: "UNAVAILABLE" });
    await retry(failing(0).call, signal, { clock, budget });
    await expect(retry(failing(1).call, signal, { clock, budget })).rejects.toMatchObject({ code: "UNAVAILABLE" });
    await retry(failing(0).call, signal, { clock, budget });
    expect(await retry(failing(1).call, signal, { clock, budget })).toBe(2);
  });

  it("gives back no more than there was", () => {
    const budget = new RetryBudget(1);
    for (let round = 0; round < 5; round += 1) budget.refund();
    expect([budget.spend(), budget.spend()]).toEqual([true, false]);
  });

  it("does not call when its signal is aborted already", async () => {
    const { call, calls } = failing(0);
    await expect(retry(call, AbortSignal.abort("why"))).rejects.toMatchObject({ code: "ABORTED", cause: "why" });
    expect(calls()).toBe(0);
  });

  it("ends a wait when its signal aborts, and calls no more", async () => {
    const stop = new AbortController();
    const { call, calls } = failing(99);
    const clock: Clock = {
      ...clockOf().clock,
      sleep: async () => {
        stop.abort();
        throw stop.signal.reason;
      },
    };
    await expect(retry(call, stop.signal, { clock })).rejects.toMatchObject({ code: "ABORTED" });
    expect(calls()).toBe(1);
  });
});

it.each<readonly [code: ErrorCode, expected: boolean]>([
  ["THROTTLED", true],
  ["UNREACHABLE", true],
  ["UNAVAILABLE", false],
  ["TIMEOUT", false],
])("%s was not carried out: %s", (code, expected) => {
  expect(wasNotCarriedOut(new TransportError(code, "x"))).toBe(expected);
});
