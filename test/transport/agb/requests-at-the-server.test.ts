import { createHash } from "node:crypto";
import { join } from "node:path";
import { beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { connect } from "../../../src/connect.ts";
import type { Action, RequestInfo } from "../../../src/emulator/session/action.ts";
import type { EmulatorOptions } from "../../../src/emulator/session/emulator-options.ts";
import { startEmulator } from "../../../src/emulator/start-emulator.ts";
import { apply } from "../../../src/reconcile/apply-plan.ts";
import type { RetryPolicy } from "../../../src/transport/retry-policy.ts";
import type { Transport } from "../../../src/transport/transport.ts";
import type { Content } from "../../../src/tree/content.ts";
import { digestOf } from "../../../src/tree/digest.ts";
import { ROOT, workspacePath } from "../../../src/tree/workspace-path.ts";
import { look } from "../../helpers/look.ts";
import { countUnderWay } from "../../helpers/under-way.ts";
import { type Local, layOut, mirrorOf, temporaryDirectory } from "../../helpers/workspace.ts";

const signal = new AbortController().signal;
const quick: RetryPolicy = { attempts: 6, baseDelayMs: 1, maxDelayMs: 4, maxRetryAfterMs: 60_000 };
const withoutShell = { missingTools: ["shell", "run_code"] };
const a = workspacePath("a");
const b = workspacePath("b");

/** A session whose requests meet what `fate` says, once the files are laid out. */
async function open(options: EmulatorOptions, files: Readonly<Record<string, Local>>, concurrency = 16) {
  let fate: (request: RequestInfo) => Action | undefined | Promise<Action | undefined> = () => undefined;
  const emulator = await startEmulator({ transferPolls: 1, ...options, onRequest: (request) => fate(request) });
  const session = await connect({
    env: { AGB_API_KEY: emulator.apiKey, AGB_ENDPOINT: emulator.url },
    cwd: "/",
    spec: { image: "agb-code-space-1", labels: {} },
    retryPolicy: quick,
    concurrency,
    signal,
  });
  onTestFinished(async () => {
    await session.close();
    await emulator.close();
  });
  const root = join(emulator.sessionRoot(session.id), "tmp/workspace");
  layOut(root, files);
  const { transport } = session.openWorkspace("/tmp/workspace");
  await transport.features(signal);
  return {
    emulator,
    session,
    transport,
    files: () => look(root, { modes: false }),
    meet: (given: typeof fate) => {
      fate = given;
    },
  };
}

function contentOf(bytes: Buffer): Content {
  return {
    digest: digestOf(bytes),
    sizeBytes: bytes.byteLength,
    sensitive: false,
    async *open() {
      yield bytes;
    },
  };
}

const longText = Buffer.from("a line of text\n".repeat(18_000));
const bytes = Buffer.concat(
  Array.from({ length: 4000 }, (_, index) => createHash("sha256").update(`${index}`).digest()),
);
const large = Buffer.concat([bytes, bytes, bytes, bytes]);

describe("never more than the limit are under way, counted at the server (S45)", () => {
  let counted: ReturnType<typeof countUnderWay>;
  beforeEach(() => {
    counted = countUnderWay();
  });

  const many = Object.fromEntries(
    Array.from({ length: 1000 }, (_, index) => [`${"d".repeat(99)}${index % 20}/f${index}`, `${index}`]),
  );
  const paths = Object.keys(many).map((path) => workspacePath(path));

  it.each<readonly [name: string, options: EmulatorOptions, concurrency: number]>([
    ["with a shell", {}, 16],
    ["with a shell, two at a time", {}, 2],
    ["without one", withoutShell, 16],
    ["without one, three at a time", withoutShell, 3],
  ])("while 1,000 files are hashed %s", { timeout: 60_000 }, async (_name, options, concurrency) => {
    const { transport, meet } = await open(options, many, concurrency);
    meet(() => ({ delayMs: 1 }));
    counted.reset();
    expect((await transport.digestFiles(paths, signal)).size).toBe(1000);
    expect(counted.most()).toBeLessThanOrEqual(concurrency);
    expect(counted.most()).toBeGreaterThan(1);
  });

  it.each<readonly [name: string, options: EmulatorOptions]>([
    ["with a shell", {}],
    ["without one", withoutShell],
    ["through the link", { link: true }],
  ])(
    "while texts, bytes, uploads and questions about the session go %s",
    { timeout: 60_000 },
    async (_name, options) => {
      const { transport, session, files, meet } = await open(options, {}, 5);
      await transport.createDirectory(ROOT, undefined, signal);
      meet(() => ({ delayMs: 5 }));
      counted.reset();
      const contents = { text: longText, text2: longText, bytes, large, large2: large };
      await Promise.all([
        ...Object.entries(contents).map(
          async ([path, content]) => await transport.writeFile(workspacePath(path), contentOf(content), 0o644, signal),
        ),
        ...Array.from({ length: 20 }, async () => await session.keepAlive(signal)),
        ...Array.from({ length: 20 }, async () => await transport.stat(a, signal)),
      ]);
      expect(Object.keys(files())).toEqual(Object.keys(contents).toSorted());
      expect(counted.most()).toBeLessThanOrEqual(5);
      expect(counted.most()).toBeGreaterThan(3);
    },
  );

  it("and half of it once it throttles, whatever is asked for by one method", async () => {
    const { transport, meet } = await open({ ...withoutShell, retryAfterSeconds: 0 }, many, 16);
    const underWay: number[] = [];
    let go = (): void => undefined;
    const sixteen = new Promise<void>((resolve) => {
      go = resolve;
    });
    meet(async () => {
      underWay.push(counted.now());
      if (underWay.length > 16) return { delayMs: 20 };
      if (underWay.length === 16) go();
      await sixteen;
      return { status: 429 };
    });
    await transport.digestFiles(paths.slice(0, 40), signal);
    expect(Math.max(...underWay.slice(0, 16))).toBe(16);
    // A round of eight successes gives one place back.
    expect(Math.max(...underWay.slice(16, 32))).toBeLessThanOrEqual(9);
  });
});

type Operation = {
  readonly name: string;
  readonly options: EmulatorOptions;
  readonly files?: Readonly<Record<string, Local>>;
  /** Which requests may be struck: a tool, or a path. */
  readonly strike: string;
  readonly work: (transport: Transport) => Promise<unknown>;
  readonly expected: Readonly<Record<string, unknown>>;
  /** Requests without a fault. */
  readonly calls: number;
  /** Requests that look at what became of one whose answer was lost. */
  readonly looks: number;
  /** Work that a second time would do harm. */
  readonly isOnce: boolean;
};

const text = { a: expect.any(String) };
const moved = { b: expect.any(String) };
const forty = Object.fromEntries(Array.from({ length: 40 }, (_, index) => [`f${index}`, `${index}`]));
const fortyPaths = Object.keys(forty).map((path) => workspacePath(path));

const operations: readonly Operation[] = [
  ...(
    [
      ["with a shell", {}, "shell"],
      ["without one", withoutShell, "move_file"],
    ] as const
  ).map(
    ([name, options, strike]): Operation => ({
      name: `a move ${name}`,
      options,
      files: { a: "1" },
      strike,
      work: async (transport) => await transport.move(a, b, { replace: false }, signal),
      expected: moved,
      calls: strike === "shell" ? 1 : 2,
      looks: 2,
      isOnce: true,
    }),
  ),
  {
    name: "a move that replaces",
    options: {},
    files: { a: "1", b: "2" },
    strike: "shell",
    work: async (transport) => await transport.move(a, b, { replace: true, keepAt: workspacePath("kept") }, signal),
    expected: { ...moved, kept: expect.any(String) },
    calls: 1,
    looks: 2,
    isOnce: true,
  },
  {
    name: "a link",
    options: {},
    files: {},
    strike: "shell",
    work: async (transport) => await transport.createLink(a, "somewhere", signal),
    expected: { a: "-> somewhere" },
    calls: 1,
    looks: 1,
    isOnce: true,
  },
  {
    name: "the append of a long text",
    options: withoutShell,
    files: { a: "old" },
    strike: "write_file",
    work: async (transport) => await transport.writeFile(a, contentOf(longText), 0o644, signal),
    expected: text,
    calls: 5,
    looks: 2,
    isOnce: false,
  },
  {
    name: "a piece of binary content",
    options: { missingTools: ["file_transfer"] },
    files: { a: "old" },
    strike: "shell",
    work: async (transport) => await transport.writeFile(a, contentOf(bytes), 0o644, signal),
    expected: text,
    calls: 4,
    looks: 0,
    isOnce: false,
  },
  {
    name: "one of the readings behind forty digests",
    options: withoutShell,
    files: forty,
    strike: "read_file",
    work: async (transport) => expect((await transport.digestFiles(fortyPaths, signal)).size).toBe(40),
    expected: Object.fromEntries(Object.keys(forty).map((path) => [path, expect.any(String)])),
    calls: 80,
    looks: 0,
    isOnce: false,
  },
  {
    name: "a deletion",
    options: withoutShell,
    files: { a: "1" },
    strike: "delete_file",
    work: async (transport) => await transport.deleteFile(a, signal),
    expected: {},
    calls: 1,
    looks: 0,
    isOnce: false,
  },
];

const faults: readonly (readonly [name: string, action: Action, isOpen: boolean])[] = [
  ["500 before the work", { status: 500 }, true],
  ["500 after the work", { status: 500, after: true }, true],
  ["429", { status: 429 }, false],
  ["a connection that breaks before the work", "drop-before", true],
  ["a connection that breaks after the work", "drop-after", true],
  ["an answer that is cut off", "truncate", true],
];

describe.each(operations)("$name repeats itself and nothing else", (operation) => {
  it.each(faults)("after %s", { timeout: 30_000 }, async (_name, action, isOpen) => {
    const { transport, files, meet, emulator } = await open(
      { retryAfterSeconds: 0, ...operation.options },
      operation.files ?? {},
    );
    // The last that may be struck: what was done before it must not be done again.
    const strikes = operation.strike === "write_file" ? 3 : operation.strike === "read_file" ? 20 : 1;
    let seen = 0;
    meet(({ tool }) => (tool === operation.strike && (seen += 1) === strikes ? action : undefined));
    const before = emulator.requests.length;
    await operation.work(transport);
    const asked = emulator.requests.length - before;
    expect(files()).toEqual(operation.expected);
    const repeated = operation.calls + 1;
    // What a look finds done is not sent again.
    // One whose fate is open asks once more: whether the session lives.
    const most = repeated + (isOpen ? operation.looks + (operation.looks > 0 ? 1 : 0) : 0);
    expect(asked).toBeGreaterThanOrEqual(isOpen && operation.isOnce ? operation.calls + operation.looks : repeated);
    expect(asked).toBeLessThanOrEqual(most);
    expect(transport.counters.retries).toBe(1);
  });
});

describe("a long text", () => {
  it.each<readonly [name: string, action: Action]>([
    ["half of an append", "half"],
    ["an append whose answer was lost", "drop-after"],
  ])("is whole after %s", async (_name, action) => {
    const { transport, files, meet } = await open(withoutShell, {});
    let writes = 0;
    meet(({ tool }) => (tool === "write_file" && (writes += 1) === 3 ? action : undefined));
    await transport.writeFile(a, contentOf(longText), 0o644, signal);
    const expected = temporaryDirectory();
    layOut(expected, { a: longText });
    expect(files()).toEqual(look(expected, { modes: false }));
  });
});

describe("many files without a shell under 3 % each of 500, 429 and resets", () => {
  const isFull = process.env["CRASH_MATRIX"] === "full";

  it.each([isFull ? 2000 : 150])("%i converge in the first apply", { timeout: 900_000 }, async (count) => {
    const random = (["500", "429", "reset"] as const).map((kind) => ({ kind, probability: 0.03 }));
    const { session, files, transport } = await open(
      { ...withoutShell, faults: { random }, retryAfterSeconds: 0, seed: 11 },
      {},
    );
    const directory = temporaryDirectory();
    layOut(
      join(directory, "source"),
      Object.fromEntries(Array.from({ length: count }, (_, index) => [`d${index % 20}/f${index}`, `${index}\n`])),
    );
    const report = await apply(mirrorOf(directory), session, { strategy: "steps", signal });
    expect(report.outcomes.filter(({ result }) => result.status !== "applied")).toEqual([]);
    expect(report.verified).toBe(true);
    expect(files()).toEqual(look(join(directory, "source"), { modes: false }));
    // Each failure is one more request, and the few looks after moves whose answer was lost.
    expect(transport.counters.retries).toBeGreaterThan(count / 5);
    expect(transport.counters.retries).toBeLessThan(transport.counters.requests / 5);
  });
});
