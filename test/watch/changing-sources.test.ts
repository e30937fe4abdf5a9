import { appendFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { expect, it, onTestFinished } from "vitest";
import { connect } from "../../src/connect.ts";
import type { EmulatorOptions } from "../../src/emulator/session/emulator-options.ts";
import { startEmulator } from "../../src/emulator/start-emulator.ts";
import type { ConnectOptions } from "../../src/session.ts";
import { Bell } from "../../src/watch/bell.ts";
import type { Hints } from "../../src/watch/hints.ts";
import { interfering, Watched } from "./watched.ts";

/** More than is kept in memory of a file: it is read again when it is sent. */
const large = "x".repeat(100_000);

it.each<[string, EmulatorOptions | undefined]>([
  ["embedded", undefined],
  ["AGB with shell", {}],
  ["AGB without shell", { missingTools: ["shell", "run_code"] }],
])("sends a file that changed before it was sent without asking the session again (%s, W7)", async (_name, options) => {
  const watched = new Watched();
  const { source, directory } = watched;
  let scans = 0;
  let attack: (() => void) | undefined;
  const open = async () => {
    const emulator = options === undefined ? undefined : await startEmulator(options);
    if (emulator !== undefined) onTestFinished(async () => await emulator.close());
    const how: Partial<ConnectOptions> =
      emulator === undefined
        ? { local: join(directory, "session") }
        : { env: { AGB_API_KEY: emulator.apiKey, AGB_ENDPOINT: emulator.url }, spec: { image: "any", labels: {} } };
    const session = await connect({ env: {}, cwd: "/", signal: watched.controller.signal, ...how });
    const top = emulator === undefined ? join(directory, "session") : emulator.sessionRoot(session.id);
    const onCommit = () => {
      attack?.();
      attack = undefined;
    };
    return {
      session: interfering(session, { onScan: () => void (scans += 1), onCommit }),
      root: join(top, "tmp/workspace"),
    };
  };
  await watched.start({ log: large, a: "1", gone: "1" }, { safetyMs: 3_600_000 }, open);
  const before = scans;
  attack = () => appendFileSync(join(source, "log"), "changed on the way");
  appendFileSync(join(source, "log"), "more");
  writeFileSync(join(source, "a"), "2");
  rmSync(join(source, "gone"));
  await watched.settled();
  expect(attack).toBeUndefined();
  expect(scans).toBe(before);
  expect(watched.events.filter(({ type }) => type !== "cycle" && type !== "ready")).toEqual([]);
  writeFileSync(join(source, "a"), "3");
  await watched.settled();
  expect(watched.steps.at(-1)).toBe("write a");
});

it.each([
  { debounceMs: 200, emptyMs: 20 },
  { debounceMs: 20, emptyMs: 150 },
])(
  "does not send a file that is emptied and written $emptyMs ms later, after $debounceMs ms of quiet (W7)",
  async ({ debounceMs, emptyMs }) => {
    const watched = new Watched();
    const file = join(watched.source, "a");
    const bell = new Bell();
    const looks = new Bell();
    /** Hints that come when they are told to, and must not be waited after. */
    const hints: Hints = {
      get count() {
        return bell.count;
      },
      firstMs: undefined,
      lastMs: 0,
      after: (seen, signal) => bell.after(seen, signal),
      take() {
        looks.ring();
        return { count: 1, firstMs: undefined, places: undefined };
      },
      follow: async () => [],
      isFollowing: () => true,
      close: async () => undefined,
    };
    await watched.start({ a: "old" }, { safetyMs: 3_600_000, debounceMs, openHints: () => hints });
    const seen = looks.count;
    writeFileSync(file, "");
    bell.ring();
    await looks.after(seen, new AbortController().signal);
    await wait(emptyMs);
    writeFileSync(file, "new");
    await watched.settled();
    expect(watched.steps).toEqual(["write a"]);
    writeFileSync(file, "");
    bell.ring();
    await watched.settled();
    expect(watched.steps).toEqual(["write a", "write a"]);
  },
);
