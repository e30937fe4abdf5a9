import { describe, expect, it } from "vitest";
import { TransportError } from "../../src/errors.ts";
import { Requests } from "../../src/transport/requests.ts";
import type { Waiting } from "../../src/transport/silence-watch.ts";
import { quick } from "./loopback.ts";

const signal = new AbortController().signal;
const gone = new TransportError("SESSION_GONE", "gone");

/** Never answers, but ends with its signal, as a request does. */
async function hang(own: AbortSignal): Promise<never> {
  return await new Promise((_resolve, reject) => {
    own.addEventListener("abort", () => reject(new Error("given up")), { once: true });
  });
}

function open(options: { readonly concurrency?: number; readonly silenceMs?: number } = {}) {
  const waits: Waiting[] = [];
  const counters = { requests: 0, bytesSent: 0, bytesReceived: 0, retries: 0 };
  const requests = new Requests(counters, {
    policy: quick,
    silenceMs: 20,
    ...options,
    onWaiting: (waiting) => waits.push(waiting),
  });
  return { requests, waits };
}

describe("while nothing comes", () => {
  it("says what is waited for, and ends every request when the session is lost (S44)", async () => {
    const { requests, waits } = open({ concurrency: 2 });
    let looks = 0;
    requests.watchOver(async () => {
      looks += 1;
      return looks === 2 ? gone : undefined;
    });
    const kind = { what: "scan the workspace", repeats: "always" } as const;
    await expect(requests.run(kind, hang, signal)).rejects.toBe(gone);
    expect(waits[0]).toMatchObject({ what: "scan the workspace", attempt: 1, attempts: 3 });
    await expect(requests.run(kind, async () => 1, signal)).rejects.toBe(gone);
  });

  it("a request that waits for its next try ends as well", async () => {
    const { requests } = open();
    requests.watchOver(async () => gone);
    const throttled = async () => {
      throw new TransportError("THROTTLED", "later", { retryable: true, retryAfterMs: 50_000 });
    };
    await expect(requests.run({ what: "x", repeats: "always" }, throttled, signal)).rejects.toBe(gone);
  });

  it.each<readonly [name: string, look: () => Promise<undefined>]>([
    ["lives", async () => undefined],
    ["cannot be asked for", async () => await Promise.reject(new TransportError("UNAVAILABLE", "x"))],
  ])("and the session %s, the request goes on", async (_name, look) => {
    const { requests, waits } = open();
    requests.watchOver(look);
    const late = async () => await new Promise((resolve) => setTimeout(() => resolve("late"), 70));
    expect(await requests.run({ what: "x", repeats: "always" }, late, signal)).toBe("late");
    expect(waits.length).toBeGreaterThan(0);
  });

  it("nothing is said where answers come, however many requests there are", async () => {
    const { requests, waits } = open({ silenceMs: 2000 });
    const kind = { what: "x", repeats: "always" } as const;
    await Promise.all(Array.from({ length: 50 }, async () => await requests.run(kind, async () => 1, signal)));
    expect(waits).toEqual([]);
  });
});

describe("a request that must not be doubled", () => {
  const lost = new TransportError("UNAVAILABLE", "lost", { retryable: true });

  it.each<
    readonly [name: string, answers: readonly (TransportError | undefined)[], found: readonly boolean[], calls: number]
  >([
    ["was carried out", [lost], [true], 1],
    ["was not", [lost, undefined], [false], 2],
    ["was lost twice and is done then", [lost, lost], [false, true], 2],
    ["was refused", [new TransportError("THROTTLED", "x", { retryable: true }), undefined], [], 2],
  ])("is looked for when it %s", async (_name, answers, found, expected) => {
    const { requests } = open();
    let calls = 0;
    let looks = 0;
    const send = async () => {
      const answer = answers[calls];
      calls += 1;
      if (answer !== undefined) throw answer;
    };
    const call = async () => await requests.run({ what: "x", repeats: "if-refused" }, send, signal);
    const isDone = async () => {
      looks += 1;
      return found[looks - 1] ?? true;
    };
    await requests.afterLook(call, isDone, signal);
    expect([calls, looks]).toEqual([expected, found.length]);
  });

  it("ends with what the look fails with", async () => {
    const { requests } = open();
    let looks = 0;
    const call = async () => await Promise.reject(lost);
    const isDone = async () => {
      looks += 1;
      return await Promise.reject(new TransportError("UNAVAILABLE", "the look", { retryable: true }));
    };
    await expect(requests.afterLook(call, isDone, signal)).rejects.toMatchObject({ message: "the look" });
    expect(looks).toBe(1);
  });
});
