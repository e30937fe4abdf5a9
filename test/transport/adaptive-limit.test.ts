import { describe, expect, it } from "vitest";
import { TransportError } from "../../src/errors.ts";
import { AdaptiveLimit } from "../../src/transport/adaptive-limit.ts";

const { signal } = new AbortController();
const throttled = async () => await Promise.reject(new TransportError("THROTTLED", "x", { retryable: true }));
const fine = async () => undefined;

/** Calls that go on until they are let go, and how many do at once. */
function held() {
  const waiting: (() => void)[] = [];
  let most = 0;
  const call = async () => {
    await new Promise<void>((resolve) => {
      waiting.push(resolve);
      most = Math.max(most, waiting.length);
    });
  };
  return {
    call,
    waiting: () => waiting.length,
    most: () => most,
    letGo: () => {
      for (const resolve of waiting.splice(0)) resolve();
    },
  };
}

describe("the limit", () => {
  it("lets no more calls run at once than its bound", async () => {
    const limit = new AdaptiveLimit(3);
    const { call, waiting, most, letGo } = held();
    const all = Array.from({ length: 8 }, async () => await limit.run(call, signal));
    for (const count of [3, 3, 2]) {
      await expect.poll(waiting).toBe(count);
      letGo();
    }
    await Promise.all(all);
    expect(most()).toBe(3);
  });

  it.each([
    [16, [8, 4, 2, 1, 1]],
    [5, [2, 1, 1]],
  ])("of %i is halved by each throttled call, down to one", async (max, bounds) => {
    const limit = new AdaptiveLimit(max);
    for (const bound of bounds) {
      await expect(limit.run(throttled, signal)).rejects.toMatchObject({ code: "THROTTLED" });
      expect(limit.concurrency).toBe(bound);
    }
  });

  it("is halved once by a burst that was sent under the same bound", async () => {
    const limit = new AdaptiveLimit(8);
    await Promise.allSettled(Array.from({ length: 8 }, async () => await limit.run(throttled, signal)));
    expect(limit.concurrency).toBe(4);
  });

  it("is not changed by other failures", async () => {
    const limit = new AdaptiveLimit(8);
    const fail = async () => await Promise.reject(new TransportError("UNAVAILABLE", "x"));
    await expect(limit.run(fail, signal)).rejects.toMatchObject({ code: "UNAVAILABLE" });
    expect(limit.concurrency).toBe(8);
  });

  it("grows by one for each full round of successes, up to where it began", async () => {
    const limit = new AdaptiveLimit(4);
    for (let round = 0; round < 2; round += 1) await limit.run(throttled, signal).catch(() => undefined);
    const seen: number[] = [];
    for (let call = 0; call < 12; call += 1) {
      await limit.run(fine, signal);
      seen.push(limit.concurrency);
    }
    expect(seen).toEqual([2, 2, 3, 3, 3, 4, 4, 4, 4, 4, 4, 4]);
  });

  it.each([[0], [-3], [0.5]])("is at least one, also when %d was wanted", (max) => {
    expect(new AdaptiveLimit(max).concurrency).toBe(1);
  });

  it("lets what is urgent go before all that waits, and nothing beyond its bound", async () => {
    const limit = new AdaptiveLimit(1);
    const order: string[] = [];
    const { call, waiting, most, letGo } = held();
    const first = limit.run(call, signal);
    await expect.poll(waiting).toBe(1);
    const named = async (name: string, isUrgent: boolean) =>
      await limit.run(async () => void order.push(name), signal, isUrgent);
    const others = [named("one", false), named("two", false), named("urgent", true)];
    letGo();
    await Promise.all([first, ...others]);
    expect([order, most()]).toEqual([["urgent", "one", "two"], 1]);
  });

  it("gives the place of a waiting call that was given up to the next", async () => {
    const limit = new AdaptiveLimit(1);
    const { call, waiting, letGo } = held();
    const first = limit.run(call, signal);
    await expect.poll(waiting).toBe(1);
    const stop = new AbortController();
    const second = limit.run(fine, stop.signal);
    const third = limit.run(fine, signal);
    stop.abort();
    await expect(second).rejects.toMatchObject({ code: "ABORTED" });
    letGo();
    await Promise.all([first, third]);
    expect(await limit.run(async () => "room", signal)).toBe("room");
  });

  it("never runs a call whose signal aborted while it waited", async () => {
    const limit = new AdaptiveLimit(1);
    const { call, letGo, waiting } = held();
    const first = limit.run(call, signal);
    await expect.poll(waiting).toBe(1);
    const stop = new AbortController();
    let ran = false;
    const second = limit.run(async () => {
      ran = true;
    }, stop.signal);
    stop.abort();
    letGo();
    await first;
    await expect(second).rejects.toMatchObject({ code: "ABORTED" });
    expect(ran).toBe(false);
  });
});
