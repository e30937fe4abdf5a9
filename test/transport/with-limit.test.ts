import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { TransportError } from "../../src/errors.ts";
import { EmbeddedTransport } from "../../src/transport/embedded/embedded-transport.ts";
import { AdaptiveLimit, withLimit } from "../../src/transport/with-limit.ts";
import { ROOT, workspacePath } from "../../src/tree/workspace-path.ts";
import { layOut, temporaryDirectory } from "../helpers/workspace.ts";

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

describe("a session with a limit", () => {
  it("holds a place for a stream only while a chunk is fetched", async () => {
    const directory = temporaryDirectory();
    const transport = withLimit(new EmbeddedTransport({ directory, root: "/w" }), new AdaptiveLimit(1));
    layOut(join(directory, "w"), { a: "x".repeat(200_000), b: "y" });
    let sizeBytes = 0;
    for await (const chunk of transport.readFile(workspacePath("a"), signal)) {
      sizeBytes += chunk.byteLength;
      expect(await transport.stat(workspacePath("b"), signal)).toMatchObject({ sizeBytes: 1 });
    }
    expect(sizeBytes).toBe(200_000);
    expect(await transport.listDirectory(ROOT, signal)).toHaveLength(2);
  });
});
