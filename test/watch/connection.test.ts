import { closeSync, fstatSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { describe, expect, it, onTestFinished } from "vitest";
import { exitCodeOf } from "../../src/cli/exit-code.ts";
import { connect } from "../../src/connect.ts";
import type { Action } from "../../src/emulator/session/action.ts";
import type { EmulatorOptions } from "../../src/emulator/session/emulator-options.ts";
import type { Emulator } from "../../src/emulator/start-emulator.ts";
import { startEmulator } from "../../src/emulator/start-emulator.ts";
import type { ErrorCode } from "../../src/errors.ts";
import { TransportError } from "../../src/errors.ts";
import type { ConnectOptions, Session } from "../../src/session.ts";
import { digestOf } from "../../src/tree/digest.ts";
import { workspacePath } from "../../src/tree/workspace-path.ts";
import type { WatchOptions } from "../../src/watch/watch-options.ts";
import { openOn, sharedEmulator } from "../helpers/kinds.ts";
import { thorough } from "../helpers/tries-all.ts";
import { MemorySession, shown } from "./memory-session.ts";
import { VirtualClock } from "./virtual-clock.ts";
import { interfering, nameOf, type Opened, safely, Watched } from "./watched.ts";

const anchored = { anchor: "always here", a: "1", b: "2", c: "3", "sub/e": "4" };
/** Nothing is looked at but what was hinted at. */
const hintsOnly = { safetyMs: 3_600_000, rescanMs: 0 };
/** The longest wait between tries; whoever sleeps longer does not wait for one. */
const MOST_MS = 30_000;
const KEEP_ALIVE_MS = 120_000;
const MINUTE_MS = 60_000;

/** Virtual time that tells of every sleep, and knows who is still asleep. */
class ToldClock extends VirtualClock {
  onSleep: () => void = () => undefined;
  readonly #asleep = new Set<{ readonly endMs: number; readonly ms: number }>();
  readonly #chance: number;

  constructor(chance = 1) {
    super();
    this.#chance = chance;
  }

  override random(): number {
    return this.#chance;
  }

  override async sleep(ms: number, signal: AbortSignal): Promise<void> {
    const sleeper = { endMs: this.now() + ms, ms };
    this.#asleep.add(sleeper);
    this.onSleep();
    try {
      await super.sleep(ms, signal);
    } finally {
      this.#asleep.delete(sleeper);
    }
  }

  /** How long until the first of those wakes that wait for a try or for quiet; undefined: all work or rest. */
  get nextMs(): number | undefined {
    const ends = [...this.#asleep].flatMap(({ endMs, ms }) => (ms <= MOST_MS ? [endMs - this.now()] : []));
    return ends.length === 0 ? undefined : Math.max(0, Math.min(...ends));
  }
}

/** Lets time pass only while the watch waits, so that none passes during a try, however long that really takes. */
async function passUntil(
  { watched, clock }: { readonly watched: Watched; readonly clock: ToldClock },
  isTrue: () => boolean,
): Promise<void> {
  // Whatever was edited is hinted at before anybody who merely rests is woken.
  await clock.pass(0);
  while (!isTrue()) {
    await watched.until(() => isTrue() || clock.nextMs !== undefined);
    if (!isTrue()) await clock.pass(clock.nextMs ?? 0);
  }
}

type Asked = { readonly what: "scan" | "commit"; readonly atMs: number; readonly steps: readonly string[] };

/** A watch over a session in memory, in virtual time. */
class Outage {
  readonly watched = new Watched();
  readonly session = new MemorySession();
  readonly clock: ToldClock;
  /** Every scan and commit that was asked for. */
  readonly asked: Asked[] = [];

  constructor(chance?: number) {
    this.clock = new ToldClock(chance);
    this.clock.onSleep = () => this.watched.wake();
  }

  async start(files: Readonly<Record<string, string>> = anchored, options: Partial<WatchOptions> = {}): Promise<void> {
    await this.watched.start(files, { ...hintsOnly, clock: this.clock, ...options }, async () => {
      const opened = await this.watched.over(this.session)();
      return { ...opened, session: this.#noting(opened.session) };
    });
    this.asked.length = 0;
  }

  write(path: string, text: string): void {
    writeFileSync(join(this.watched.source, path), text);
  }

  remove(path: string): void {
    rmSync(join(this.watched.source, path));
  }

  async until(isTrue: () => boolean): Promise<void> {
    await passUntil(this, isTrue);
  }

  async tries(count: number): Promise<void> {
    await this.until(() => this.asked.length >= count);
  }

  /** Virtual time between the tries so far. */
  get gapsMs(): readonly number[] {
    return this.asked.slice(1).map(({ atMs }, index) => atMs - (this.asked[index]?.atMs ?? 0));
  }

  #noting(session: Session): Session {
    const note = (what: Asked["what"], steps: readonly string[]) => {
      this.asked.push({ what, atMs: this.clock.now(), steps });
      this.watched.wake();
    };
    return interfering(session, {
      onScan: () => note("scan", []),
      onCommit: ({ steps }) =>
        note(
          "commit",
          steps.map(({ step }) => nameOf(step)),
        ),
    });
  }
}

/** A watch with renew over one session in memory that is to go, and another in which somebody's own file lies. */
class Renewal {
  readonly watched = new Watched();
  readonly clock = new ToldClock();
  readonly first = new MemorySession("first");
  readonly second = new MemorySession("second");
  /** What each connection was asked for, and when. */
  readonly mustBeNew: boolean[] = [];
  readonly connectedMs: number[] = [];
  /** So many tries at a new session fail. */
  #failures: number;

  constructor(failures: number) {
    this.#failures = failures;
    this.clock.onSleep = () => this.watched.wake();
    this.second.tree = new Map([
      [workspacePath("theirs"), { kind: "file", mode: 0o644, sizeBytes: 0, digest: digestOf("") }],
    ]);
  }

  async start(): Promise<void> {
    const connectOne = async (_manifest: unknown, mustBeNew: boolean): Promise<Session> => {
      this.mustBeNew.push(mustBeNew);
      this.connectedMs.push(this.clock.now());
      if (!mustBeNew) return this.first;
      this.#failures -= 1;
      if (this.#failures >= 0) throw new TransportError("UNREACHABLE", "nobody answers", { retryable: true });
      return this.second;
    };
    await this.watched.start(anchored, { ...hintsOnly, clock: this.clock, renew: true, connect: connectOne });
  }

  edit(): void {
    writeFileSync(join(this.watched.source, "a"), "edited");
  }

  /** Whether the second session holds everything, and still what is not ours. */
  get isFilled(): boolean {
    const { theirs, ...ours } = shown(this.second.tree);
    return theirs !== undefined && JSON.stringify(ours) === JSON.stringify(safely(this.watched.source));
  }

  async until(isTrue: () => boolean): Promise<void> {
    await passUntil(this, isTrue);
  }
}

/** Doubled from half a second, never above half a minute. */
const doublingMs = [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000];

describe("a watch whose session cannot be reached", () => {
  it("tries again after 0.5 s to 30 s, doubled each time (W18)", async () => {
    const outage = new Outage();
    const { session, watched } = outage;
    await outage.start();
    const outages = new Map([
      ["the first outage", doublingMs],
      ["a second one", doublingMs.slice(0, 3)],
    ]);
    for (const [text, gapsMs] of outages) {
      outage.asked.length = 0;
      session.isDown = true;
      outage.write("a", text);
      await outage.tries(gapsMs.length + 1);
      expect(outage.gapsMs.slice(0, gapsMs.length)).toEqual(gapsMs);
      expect(watched.isEqual()).toBe(false);
      session.isDown = false;
      // What ends an outage begins the next one with a short wait again.
      await outage.until(() => watched.isEqual() && watched.events.at(-1)?.type === "recovered");
    }
    const said = ["ready", "problem", "cycle", "recovered", "problem", "cycle", "recovered"];
    expect(watched.events.map(({ type }) => type)).toEqual(said);
  });

  it("waits shorter by chance, by half at most and never less than 0.5 s (W18)", async () => {
    const outage = new Outage(0);
    await outage.start();
    outage.session.isDown = true;
    outage.write("a", "edited");
    await outage.tries(5);
    expect(outage.gapsMs).toEqual(doublingMs.slice(0, 4).map((ms) => Math.max(500, ms / 2)));
  });

  it("applies what differs in the end, not what happened meanwhile (W18)", async () => {
    const outage = new Outage();
    const { session, watched, asked } = outage;
    await outage.start();
    session.isDown = true;
    outage.write("a", "undone later");
    outage.write("short-lived", "x");
    outage.write("c", "changed once");
    outage.remove("b");
    await outage.tries(3);
    expect(asked[0]?.steps).toEqual(["write a", "write c", "write short-lived", "delete b"]);
    outage.write("a", "1");
    outage.remove("short-lived");
    outage.write("c", "changed again");
    outage.write("b", "2");
    outage.write("new", "x");
    outage.remove("sub/e");
    await outage.tries(5);
    session.isDown = false;
    asked.length = 0;
    await outage.until(() => watched.isEqual());
    await outage.clock.pass(5 * MINUTE_MS);
    const said = asked.map(({ what, steps }) => [what, ...steps]);
    expect(said).toEqual([["scan"], ["commit", "write c", "write new", "delete sub/e"]]);
    expect(watched.steps).toEqual(["write c", "write new", "delete sub/e"]);
    expect(watched.isEqual()).toBe(true);
  });

  it("carries out nothing at all when everything was undone meanwhile (W18)", async () => {
    const outage = new Outage();
    const { session, watched, asked } = outage;
    await outage.start();
    session.isDown = true;
    outage.write("a", "undone later");
    outage.remove("b");
    await outage.tries(2);
    outage.write("a", "1");
    outage.write("b", "2");
    await outage.tries(3);
    session.isDown = false;
    await outage.until(() => watched.all("recovered").length > 0);
    await outage.clock.pass(5 * MINUTE_MS);
    expect(asked.filter(({ what }) => what === "commit")).toHaveLength(1);
    expect([watched.steps, watched.isEqual()]).toEqual([[], true]);
  });

  it.each<[ErrorCode, string, boolean, readonly ErrorCode[]]>([
    ["BAD_API_KEY", "at once", false, []],
    ["BAD_API_KEY", "also with renew", true, []],
    ["BAD_API_KEY", "also after an outage", false, ["UNREACHABLE", "UNAVAILABLE"]],
    ["NO_API_KEY", "at once", false, []],
    ["ACCESS_DENIED", "at once", false, []],
    ["SESSION_GONE", "without renew", false, []],
    ["SESSION_GONE", "without renew, also after an outage", false, ["UNREACHABLE", "TIMEOUT"]],
    ["SESSION_NOT_FOUND", "without renew", false, []],
  ])("ends with %s %s (W18)", async (code, _name, renew, before) => {
    const outage = new Outage();
    const { watched, asked } = outage;
    const failures = [...before, code];
    let isOut = false;
    const fail = () => {
      const failure = isOut ? failures.shift() : undefined;
      if (failure !== undefined) throw new TransportError(failure, "no", { retryable: before.includes(failure) });
    };
    await watched.start(anchored, { ...hintsOnly, clock: outage.clock, renew }, async () => {
      const opened = await watched.over(outage.session)();
      const onCall = () => {
        asked.push({ what: "scan", atMs: outage.clock.now(), steps: [] });
        fail();
      };
      return { ...opened, session: interfering(opened.session, { onScan: onCall, onCommit: onCall }) };
    });
    [isOut, asked.length] = [true, 0];
    outage.write("a", "changed");
    await outage.until(() => watched.failure !== undefined);
    expect(watched.failure).toMatchObject({ code });
    expect(exitCodeOf(watched.failure)).toBe(69);
    await outage.clock.pass(5 * MINUTE_MS);
    expect([asked.length, outage.session.count("keep-alive")]).toEqual([before.length + 1, 0]);
  });

  it("ends with SESSION_GONE without renew as soon as the keep-alive finds it (W18, W21)", async () => {
    const outage = new Outage();
    await outage.start();
    outage.session.isGone = true;
    await outage.clock.pass(KEEP_ALIVE_MS);
    await outage.watched.until(() => outage.watched.failure !== undefined);
    expect(outage.watched.failure).toMatchObject({ code: "SESSION_GONE" });
  });

  it("makes one apply of ten minutes of edits and deletions (W19)", async () => {
    const outage = new Outage();
    const { session, watched, clock, asked } = outage;
    const old = Object.fromEntries(Array.from({ length: 30 }, (_, index) => [`old${index}`, `${index}`]));
    await outage.start({ ...anchored, ...old });
    session.isDown = true;
    const startMs = clock.now();
    for (let minute = 0; minute < 10; minute += 1) {
      outage.write("a", `minute ${minute}`);
      outage.write(`new${minute}`, `new ${minute}`);
      outage.write(`old${minute}`, "edited");
      outage.remove(`old${minute + 10}`);
      if (minute > 0) outage.remove(`new${minute - 1}`);
      await outage.until(() => clock.now() >= startMs + (minute + 1) * MINUTE_MS);
    }
    // A try every half a minute, after the first minute.
    expect(asked.length).toBeGreaterThanOrEqual(20);
    expect(asked.length).toBeLessThanOrEqual(30);
    expect(watched.cycles).toEqual([]);
    session.isDown = false;
    asked.length = 0;
    await outage.until(() => watched.isEqual());
    await clock.pass(5 * MINUTE_MS);
    expect(asked.map(({ what }) => what)).toEqual(["scan", "commit"]);
    expect(watched.isEqual()).toBe(true);
    const [write, remove] = ["write", "delete"].map((op) => watched.steps.filter((step) => step.startsWith(op)));
    expect([write?.length, remove?.length]).toEqual([12, 10]);
  });
});

describe("a watch whose session has gone", () => {
  it.each<[string, (outage: Renewal) => Promise<void>]>([
    ["an edit", async (renewal) => renewal.edit()],
    ["its keep-alive", async ({ clock }) => await clock.pass(KEEP_ALIVE_MS)],
  ])("fills another one, found gone by %s, and goes on in it (W20)", async (_name, find) => {
    const renewal = new Renewal(0);
    const { watched, first, second, clock } = renewal;
    await renewal.start();
    first.isGone = true;
    await find(renewal);
    await renewal.until(() => renewal.isFilled);
    expect(watched.all("renewed").map(({ sessionId }) => sessionId)).toEqual(["second"]);
    expect(renewal.mustBeNew).toEqual([false, true]);
    const types = watched.events.map(({ type }) => type);
    expect(types).toEqual(["ready", "renewed", "cycle"]);
    expect(watched.steps).toEqual([
      "create-directory sub",
      ...["a", "anchor", "b", "c", "sub/e"].map((path) => `write ${path}`),
    ]);
    const calls = first.calls.length;
    writeFileSync(join(watched.source, "c"), "later");
    rmSync(join(watched.source, "b"));
    await renewal.until(() => renewal.isFilled);
    expect(watched.steps.slice(-2)).toEqual(["write c", "delete b"]);
    await clock.pass(5 * MINUTE_MS);
    expect(first.calls.length).toBe(calls);
    expect(second.count("keep-alive")).toBeGreaterThanOrEqual(2);
  });

  it("asks for a new session until there is one, and deletes nothing in it (W18, W20)", async () => {
    const renewal = new Renewal(4);
    const { watched, first, connectedMs } = renewal;
    await renewal.start();
    // It has lived for long enough to be replaced at once.
    await renewal.clock.pass(2 * MINUTE_MS);
    first.isGone = true;
    rmSync(join(watched.source, "b"));
    renewal.edit();
    await renewal.until(() => renewal.isFilled);
    expect(renewal.mustBeNew).toEqual([false, true, true, true, true, true]);
    const gapsMs = connectedMs.slice(2).map((atMs, index) => atMs - (connectedMs[index + 1] ?? 0));
    expect(gapsMs).toEqual([500, 1000, 2000, 4000]);
    expect(watched.all("renewed")).toHaveLength(1);
    expect(watched.steps.filter((step) => !/^(write|create-directory) /.test(step))).toEqual([]);
    expect(watched.events.map(({ type }) => type)).toEqual(["ready", "problem", "renewed", "cycle", "recovered"]);
  });

  it("does not make sessions one after another when each is gone at once (W18, W20)", async () => {
    const watched = new Watched();
    const clock = new ToldClock();
    clock.onSleep = () => watched.wake();
    const connectedMs: number[] = [];
    const first = new MemorySession("first");
    await watched.start(anchored, { ...hintsOnly, clock, renew: true }, async () => {
      const session = first.isGone ? new MemorySession(`number ${connectedMs.length}`) : first;
      session.isGone = first.isGone;
      connectedMs.push(clock.now());
      return await watched.over(session)();
    });
    first.isGone = true;
    writeFileSync(join(watched.source, "a"), "changed");
    await passUntil({ watched, clock }, () => connectedMs.length >= 10);
    const gapsMs = connectedMs.slice(2).map((atMs, index) => atMs - (connectedMs[index + 1] ?? 0));
    expect(gapsMs).toEqual([1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]);
  });
});

describe("the keep-alive of a watch", () => {
  it.each<[string, string, number, number]>([
    ["that is not given", "", 5 * MINUTE_MS, KEEP_ALIVE_MS],
    ["of one minute", "session: { idleTimeout: 1m }\n", MINUTE_MS, MINUTE_MS / 2],
  ])("keeps a session with an idle time %s, and ends with the watch (W21)", async (_name, text, limitMs, everyMs) => {
    const outage = new Outage();
    const { watched, session, clock } = outage;
    watched.manifest = text;
    const timesMs: number[] = [];
    await watched.start(anchored, { ...hintsOnly, clock }, async () => {
      const opened = await watched.over(session)();
      const keepAlive = async () => {
        timesMs.push(clock.now());
        await session.keepAlive();
      };
      const { id, kind, origin } = session;
      const openWorkspace = (root: string) => session.openWorkspace(root);
      const others = { release: () => session.release(), close: () => session.close() };
      return { ...opened, session: { id, kind, origin, openWorkspace, keepAlive, ...others } };
    });
    await clock.pass(6 * MINUTE_MS);
    // A call that fails is not the last one.
    session.isDown = true;
    await clock.pass(everyMs);
    session.isDown = false;
    await clock.pass(6 * MINUTE_MS);
    const lengthMs = 12 * MINUTE_MS + everyMs;
    expect(everyMs).toBeLessThan(limitMs);
    expect(timesMs).toEqual(Array.from({ length: lengthMs / everyMs }, (_, index) => (index + 1) * everyMs));
    await watched.stop();
    const count = session.calls.length;
    await clock.pass(6 * MINUTE_MS);
    expect(session.calls.length).toBe(count);
    expect([watched.failure, watched.events.length]).toEqual([undefined, 1]);
  });
});

/** Whatever fails is for the watch to try again. */
const impatient = { retryPolicy: { attempts: 1, baseDelayMs: 1, maxDelayMs: 1, maxRetryAfterMs: 0 } };
/** No call fails for good within the outage; few at a time, so that the retries of one session suffice. */
const patient = {
  retryPolicy: { attempts: 100, baseDelayMs: 200, maxDelayMs: 400, maxRetryAfterMs: 0 },
  concurrency: 3,
};
const OUTAGE_MS = 1500;
/** Large enough to be seen half written. */
const contentOf = (text: string) => `${text}\n`.repeat(1500);

/** An emulator of one test, with somebody who decides what becomes of each request. */
async function emulatorUnder(strike: () => Action | undefined, options: EmulatorOptions): Promise<Emulator> {
  const emulator = await startEmulator({ ...options, onRequest: strike });
  onTestFinished(async () => await emulator.close());
  return emulator;
}

async function openOver(emulator: Emulator, how: Partial<ConnectOptions>): Promise<Opened> {
  const session = await connect({
    env: { AGB_API_KEY: emulator.apiKey, AGB_ENDPOINT: emulator.url },
    cwd: "/",
    spec: { image: "agb-code-space-1", labels: {} },
    signal: new AbortController().signal,
    ...how,
  });
  return { session, root: join(emulator.sessionRoot(session.id), "tmp/workspace") };
}

/** Looks at a flat directory all the time and notes each version of each file that was ever to be seen. */
class Reader {
  readonly versions = new Map<string, string[]>();
  readonly #directory: string;
  readonly #keys = new Map<string, string>();

  constructor(directory: string) {
    this.#directory = directory;
  }

  look(): void {
    const names = new Set(readdirSync(this.#directory).filter((name) => name !== ".agb-sync"));
    for (const name of this.#keys.keys()) if (!names.has(name)) this.#note(name, "", "gone");
    for (const name of names) this.#read(name);
  }

  #read(name: string): void {
    let file: number;
    try {
      file = openSync(join(this.#directory, name), "r");
    } catch {
      // Gone since it was listed: the next look says so.
      return;
    }
    try {
      const { ino, size, mtimeNs } = fstatSync(file, { bigint: true });
      const key = `${ino} ${size} ${mtimeNs}`;
      if (this.#keys.get(name) !== key) this.#note(name, key, readFileSync(file, "utf8"));
    } finally {
      closeSync(file);
    }
  }

  #note(name: string, key: string, content: string): void {
    if (key === "") this.#keys.delete(name);
    else this.#keys.set(name, key);
    this.versions.set(name, [...(this.versions.get(name) ?? []), content]);
  }
}

/** Versions of files, short enough to be read in the message of a failing test. */
function told(versions: Iterable<readonly [string, readonly string[]]>): readonly string[] {
  return [...versions]
    .map(([name, all]) => `${name}: ${all.map((one) => `${one.split("\n", 1)[0]} (${one.length})`).join(", ")}`)
    .toSorted();
}

describe("a watch of a session over HTTP", () => {
  it.each<[string, EmulatorOptions, Partial<ConnectOptions>, readonly Action[]]>([
    ["with a shell, by applies that are tried again", {}, impatient, ["drop-after", "truncate", "drop-before"]],
    [
      "without a shell, by applies that are tried again",
      { missingTools: ["shell", "run_code"] },
      impatient,
      ["drop-after", "half", "drop-before"],
    ],
    [
      "without a shell, by calls that are tried again",
      { missingTools: ["shell", "run_code"] },
      patient,
      ["drop-after", "half", "drop-before"],
    ],
  ])(
    "brings each of many changes once through an outage in their middle %s (W18)",
    async (_name, options, how, strikes) => {
      let [isOut, struck] = [false, 0];
      const emulator = await emulatorUnder(() => {
        if (!isOut) return undefined;
        struck += 1;
        return strikes[(struck - 1) % strikes.length];
      }, options);
      const watched = new Watched();
      const old = Array.from({ length: 50 }, (_, index) => `old${index}`);
      await watched.start(Object.fromEntries(old.map((name) => [name, contentOf(name)])), hintsOnly, () =>
        openOver(emulator, how),
      );
      const reader = new Reader(watched.root);
      reader.look();
      const timer = setInterval(() => {
        reader.look();
        watched.wake();
      }, 5);
      onTestFinished(() => clearInterval(timer));
      const expected = new Map(old.map((name) => [name, [contentOf(name)]]));
      let outSinceMs = Number.POSITIVE_INFINITY;
      const changes = thorough(40, 100);
      for (let change = 0; change < changes; change += 1) {
        const name = change % 5 < 3 ? `new${change}` : `old${Math.floor(change / 5) * 2 + (change % 5) - 3}`;
        const content = contentOf(`change ${change}`);
        if (change % 5 === 4) rmSync(join(watched.source, name));
        else writeFileSync(join(watched.source, name), content);
        expected.set(name, [...(expected.get(name) ?? []), change % 5 === 4 ? "gone" : content]);
        if (change === Math.floor(changes * 0.3)) [isOut, outSinceMs] = [true, performance.now()];
        if (performance.now() - outSinceMs >= OUTAGE_MS) isOut = false;
        await wait(20);
      }
      isOut = false;
      await watched.settled();
      reader.look();
      expect(struck).toBeGreaterThan(0);
      // Without a shell nothing can be put over a file: it is gone for a moment, and at no other time.
      const seen = [...reader.versions].map(([name, all]): [string, string[]] => [
        name,
        all.filter((one, index) => one !== "gone" || index === all.length - 1),
      ]);
      expect(told(seen)).toEqual(told(expected));
      expect(new Map(seen)).toEqual(expected);
      const steps = watched.steps;
      expect(steps.filter((step, index) => steps.indexOf(step) !== index)).toEqual([]);
    },
  );

  it.each<[string, Partial<WatchOptions>, (watched: Watched) => void]>([
    ["an edit", hintsOnly, ({ source }) => writeFileSync(join(source, "a"), "edited")],
    ["nothing but the comparison of everything", { ...hintsOnly, rescanMs: 200 }, () => undefined],
  ])("fills a new session after the old one expired, found by %s (W20)", async (_name, options, act) => {
    const emulator = await sharedEmulator();
    const watched = new Watched();
    const ids: string[] = [];
    await watched.start({ ...anchored, large: contentOf("large") }, { ...options, renew: true }, async () => {
      const { session, rootDirectory } = await openOn(emulator);
      ids.push(session.id);
      return { session, root: rootDirectory };
    });
    const [first = ""] = ids;
    await emulator.expireSession(first);
    act(watched);
    await watched.until(() => watched.all("renewed").length > 0);
    await watched.settled();
    await watched.until(() => watched.cycles.length > 0);
    expect(ids).toHaveLength(2);
    expect(watched.all("renewed").map(({ sessionId }) => sessionId)).toEqual(ids.slice(1));
    expect(ids[1]).not.toBe(first);
    const writes = ["a", "anchor", "b", "c", "large", "sub/e"].map((path) => `write ${path}`);
    expect(watched.steps).toEqual(["create-directory sub", ...writes]);
    writeFileSync(join(watched.source, "sub/e"), "later");
    rmSync(join(watched.source, "b"));
    await watched.settled();
    await watched.until(() => watched.steps.length > 7);
    expect(watched.steps.slice(7)).toEqual(["write sub/e", "delete b"]);
    expect(watched.all("renewed")).toHaveLength(1);
  });
});
