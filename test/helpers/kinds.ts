import { join } from "node:path";
import { afterAll } from "vitest";
import { connect } from "../../src/connect.ts";
import type { EmulatorOptions } from "../../src/emulator/session/emulator-options.ts";
import type { Emulator } from "../../src/emulator/start-emulator.ts";
import { startEmulator } from "../../src/emulator/start-emulator.ts";
import type { Session } from "../../src/session.ts";
import { thorough } from "./tries-all.ts";
import { temporaryDirectory } from "./workspace.ts";

/** A session to try things on, and the local directory behind its root. */
export type TestSession = { readonly session: Session; readonly rootDirectory: string };

/** One kind of session with one strategy: every conformance test runs on each. */
export type Kind = {
  readonly name: string;
  readonly strategy: "steps" | "batch";
  /** False where the session cannot hold modes, links or binary content. */
  readonly isFull: boolean;
  readonly open: (this: void) => Promise<TestSession>;
};

const signal = new AbortController().signal;

async function openEmbedded(): Promise<TestSession> {
  const local = join(temporaryDirectory(), "session");
  const session = await connect({ local, env: {}, cwd: "/", signal });
  return { session, rootDirectory: join(local, "tmp/workspace") };
}

const emulators = new Map<string, Promise<Emulator>>();
afterAll(async () => {
  const started = [...emulators.values()];
  emulators.clear();
  await Promise.all(started.map(async (emulator) => await (await emulator).close()));
});

/** One emulator of a kind for each test file; it ends with the file. */
export async function sharedEmulator(options: EmulatorOptions = {}): Promise<Emulator> {
  const key = JSON.stringify(options);
  const known = emulators.get(key) ?? startEmulator({ transferPolls: 1, ...options });
  emulators.set(key, known);
  return await known;
}

/** A new session of an emulator. */
export async function openOn(emulator: Emulator): Promise<TestSession> {
  const session = await connect({
    env: { AGB_API_KEY: emulator.apiKey, AGB_ENDPOINT: emulator.url },
    cwd: "/",
    spec: { image: "agb-code-space-1", labels: {} },
    signal,
  });
  return { session, rootDirectory: join(emulator.sessionRoot(session.id), "tmp/workspace") };
}

const onEmulator = (options: EmulatorOptions) => async () => await openOn(await sharedEmulator(options));

const every: readonly Kind[] = [
  { name: "embedded, batch", strategy: "batch", isFull: true, open: openEmbedded },
  { name: "embedded, steps", strategy: "steps", isFull: true, open: openEmbedded },
  { name: "AGB with shell, batch", strategy: "batch", isFull: true, open: onEmulator({}) },
  {
    name: "AGB with shell of few programs, batch",
    strategy: "batch",
    isFull: true,
    // Without these the scripts speak the dialect for busybox, which also runs on this machine's own programs.
    open: onEmulator({ withoutCommands: ["comm", "gzip", "setsid", "perl", "python3"] }),
  },
  { name: "AGB with shell, steps", strategy: "steps", isFull: true, open: onEmulator({}) },
  {
    name: "AGB without shell, steps",
    strategy: "steps",
    isFull: false,
    open: onEmulator({ missingTools: ["shell", "run_code"] }),
  },
];

/** Left to the exhaustive run: each shares its engine or its files with one that stays. */
const leftOut = ["AGB with shell of few programs, batch", "AGB with shell, steps"];

/** Every kind of session and strategy; `npm test` takes one of each engine and of each kind of files. */
export const kinds: readonly Kind[] = thorough(
  every.filter(({ name }) => !leftOut.includes(name)),
  every,
);
