import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from "vitest";
import { connect } from "../../src/connect.ts";
import type { Ticket } from "../../src/state/lock.ts";
import { acquireLock, LOCKS_PATH } from "../../src/state/lock.ts";
import { makeStateDirectory } from "../../src/state/state-file.ts";
import { forwarding } from "../helpers/forwarding.ts";
import { temporaryDirectory } from "../helpers/workspace.ts";

const { signal } = new AbortController();
const DAY_MS = 86_400_000;
const nobody = 99_999_999;

/** Time goes on only as a test says; what waits in the file system does not notice. */
beforeEach(() => {
  vi.useFakeTimers({ toFake: ["Date", "performance", "setInterval", "clearInterval"] });
  // The pauses between two looks are drawn by lot: the shortest of them.
  vi.spyOn(Math, "random").mockReturnValue(0);
});
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

/** A session, and one ticket that somebody else has laid there. */
async function prepare(text?: string) {
  const local = join(temporaryDirectory(), "session");
  const session = await connect({ local, env: {}, cwd: "/", signal });
  onTestFinished(async () => await session.close());
  const { transport } = session.openWorkspace("/tmp/workspace");
  await makeStateDirectory(transport, LOCKS_PATH, signal);
  const directory = join(local, "tmp/workspace", LOCKS_PATH);
  const theirs = join(directory, "theirs.json");
  if (text !== undefined) writeFileSync(theirs, text);
  const names = () => readdirSync(directory).filter((name) => name.endsWith(".json"));
  /** Asks for the lock; with every look at the tickets so much time passes, and `each` happens. */
  const ask = async (timeoutMs: number, lookMs: number, each: (look: number) => void = () => undefined) => {
    let looks = 0;
    const startedMs = performance.now();
    const listDirectory: typeof transport.listDirectory = async (...given) => {
      if (looks > 0) vi.advanceTimersByTime(lookMs);
      each(looks++);
      return await transport.listDirectory(...given);
    };
    const lock = await acquireLock(forwarding(transport, { listDirectory }), { owner: "a test", timeoutMs }, signal);
    return { lock, waitedMs: performance.now() - startedMs };
  };
  return { transport, theirs, names, ask };
}

const ticket = (differs: Partial<Ticket> = {}): string => {
  const nowMs = Date.now();
  return JSON.stringify({
    owner: "somebody else",
    host: "elsewhere",
    process: nobody,
    startedAt: nowMs,
    expiresAt: nowMs + 60_000,
    ...differs,
  });
};

describe("the ticket of somebody else (S22)", () => {
  it.each<[string, () => string]>([
    ["counts, although no process here has its number", () => ticket()],
    ["counts, although its clock is a day behind ours", () => ticket({ expiresAt: Date.now() - DAY_MS })],
    ["counts, although it is half written", () => ticket().slice(0, 40)],
    ["counts, although nothing of it is written yet", () => ""],
    ["of a host that is called like this one counts", () => ticket({ host: `${hostname()} pid:[1]` })],
    ["of work in the session counts, which has no process", () => ticket({ host: "", process: 0 })],
  ])("%s", async (_what, text) => {
    const { ask, names } = await prepare(text());
    await expect(ask(0, 0)).rejects.toMatchObject({ code: "LOCKED" });
    expect(names()).toEqual(["theirs.json"]);
  });

  it.each<[string, () => string, number]>([
    ["whose time is over falls when it was not renewed", () => ticket({ expiresAt: Date.now() - 1 }), 7000],
    ["whose clock is a day behind falls as well", () => ticket({ expiresAt: Date.now() - DAY_MS }), 7000],
    [
      "whose clock is a day ahead falls after the life of a ticket",
      () => ticket({ expiresAt: Date.now() + DAY_MS }),
      60_000,
    ],
    ["that stays half written falls soon", () => ticket().slice(0, 40), 2000],
  ])("%s", async (_what, text, afterMs) => {
    const tooSoon = await prepare(text());
    await expect(tooSoon.ask(afterMs - 1, afterMs - 1)).rejects.toMatchObject({ code: "LOCKED" });
    const { ask } = await prepare(text());
    const { lock, waitedMs } = await ask(afterMs * 2, afterMs);
    expect(waitedMs).toBe(afterMs);
    await lock.release();
  });

  it.each([-DAY_MS, 0, DAY_MS])(
    "keeps the lock for as long as it is renewed, its clock %d ms from ours",
    async (ms) => {
      const renewed = () => ticket({ expiresAt: Date.now() + ms });
      const { ask, theirs } = await prepare(renewed());
      const each = (look: number) => {
        if (look % 2 === 1) writeFileSync(theirs, renewed());
      };
      await expect(ask(66_000, 3000, each)).rejects.toMatchObject({ code: "LOCKED" });
    },
  );

  it("falls at once where its process ran on this machine and is gone", async () => {
    const first = await prepare();
    const held = await first.ask(0, 0);
    const [name = ""] = first.names();
    const own = JSON.parse(readFileSync(join(first.theirs, "..", name), "utf8"));
    await held.lock.release();
    const ended = await prepare(JSON.stringify({ ...own, process: nobody }));
    await (await ended.ask(0, 0)).lock.release();
    // The same name and number in another container is somebody else.
    const host = String(own.host).replace(/\d+(?=\]$)/, "1");
    const elsewhere = await prepare(JSON.stringify({ ...own, host, process: nobody }));
    await expect(elsewhere.ask(0, 0)).rejects.toMatchObject({ code: "LOCKED" });
    const running = await prepare(JSON.stringify({ ...own, process: process.pid }));
    await expect(running.ask(0, 0)).rejects.toMatchObject({ code: "LOCKED" });
  });
});

describe("the own ticket (S22)", () => {
  it("is renewed while the lock is held, and never again after that", async () => {
    const { ask, theirs, names } = await prepare();
    const { lock } = await ask(0, 0);
    const [name = ""] = names();
    const expiry = () => Number(JSON.parse(readFileSync(join(theirs, "..", name), "utf8")).expiresAt);
    for (let round = 0; round < 3; round += 1) {
      const before = expiry();
      vi.advanceTimersByTime(5000);
      await expect.poll(expiry, { interval: 2 }).toBe(before + 5000);
    }
    await lock.release();
    vi.advanceTimersByTime(60_000);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(names()).toEqual([]);
  });

  it("is there before others are looked at: of two at once not both get the lock", async () => {
    const { ask, names } = await prepare();
    const seen: number[] = [];
    const { lock } = await ask(0, 0, () => void seen.push(names().length));
    expect(seen).toEqual([1]);
    await expect(ask(0, 0)).rejects.toMatchObject({ code: "LOCKED" });
    await lock.release();
  });
});
