import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { connect } from "../../src/connect.ts";
import type { Action, RequestInfo } from "../../src/emulator/session/action.ts";
import type { EmulatorOptions } from "../../src/emulator/session/emulator-options.ts";
import { startEmulator } from "../../src/emulator/start-emulator.ts";
import { apply } from "../../src/reconcile/apply-plan.ts";
import { run } from "../helpers/cli.ts";
import { thorough, triesAll } from "../helpers/tries-all.ts";
import { layOut, mirrorOf, temporaryDirectory } from "../helpers/workspace.ts";

const signal = new AbortController().signal;
const quick = { attempts: 3, baseDelayMs: 1, maxDelayMs: 3, maxRetryAfterMs: 2000 };

type Kind = readonly [name: string, strategy: "batch" | "steps", options: EmulatorOptions];

const all: readonly Kind[] = [
  ["with a shell, batch", "batch", {}],
  ["through the link, batch", "batch", { link: true }],
  ["without transfer, batch", "batch", { missingTools: ["file_transfer"] }],
  ["with a shell, steps", "steps", {}],
  ["without a shell", "steps", { missingTools: ["shell", "run_code"] }],
  ["without a shell, through the link", "steps", { missingTools: ["shell", "run_code"], link: true }],
];
/** Both routes, with a shell and without. */
const kinds = thorough([...all.slice(0, 1), ...all.slice(-1)], all);

const noise = Buffer.concat(
  Array.from({ length: 20_000 }, (_, block) => createHash("sha256").update(`${block}`).digest()),
);

/** How a session ends under a request: it is gone when it is asked for, or it goes while a command runs in it. */
const ends = ["before", "under", "in silence"] as const;

/** An emulator whose session ends at the nth tool call; undefined as the error when the work was done before. */
async function applyUntil(at: number, how: (typeof ends)[number], [, strategy, options]: Kind) {
  let calls = 0;
  let endSession = async (): Promise<void> => undefined;
  const onRequest = async ({ tool, method }: RequestInfo): Promise<Action | undefined> => {
    if (tool === undefined && method !== "PUT") return undefined;
    calls += 1;
    if (calls !== at) return undefined;
    if (how === "before") return "expire";
    if (how === "under") {
      setTimeout(() => void endSession(), 5);
      return undefined;
    }
    await endSession();
    return "hang-before";
  };
  const emulator = await startEmulator({ transferPolls: 1, ...options, onRequest });
  const env = { AGB_API_KEY: emulator.apiKey, AGB_ENDPOINT: emulator.url };
  const session = await connect({
    env,
    cwd: "/",
    spec: { image: "agb-code-space-1", labels: {} },
    retryPolicy: quick,
    signal,
  });
  endSession = async () => await emulator.expireSession(session.id);
  onTestFinished(async () => {
    await session.close();
    await emulator.close();
  });
  const directory = temporaryDirectory();
  const text = { a: "1", "d/b": "2" };
  layOut(join(directory, "source"), strategy === "batch" ? { ...text, noise } : { ...text, long: "x".repeat(70_000) });
  const report = await apply(mirrorOf(directory), session, { strategy, signal }).catch((error: unknown) => error);
  return { report, isOver: calls < at };
}

describe.each(kinds)("a session %s", (...kind) => {
  it.each(ends)("that ends %s any call is gone, and nothing else", { timeout: 180_000 }, async (how) => {
    for (let at = how === "in silence" ? 4 : 2; triesAll || at <= 5; at += triesAll ? 1 : 3) {
      const { report, isOver } = await applyUntil(at, how, kind);
      if (isOver) break;
      // A command that ends before its session does is answered, and the rest of the apply may be done by then.
      if (how === "under" && !(report instanceof Error)) continue;
      expect({ at, report }).toEqual({ at, report: expect.objectContaining({ code: "SESSION_GONE" }) });
      // Each of these waits for the silence to be noticed.
      if (how === "in silence") break;
    }
  });
});

describe("the command line", () => {
  it("notices during an upload that is never answered that the session has ended (S44)", {
    timeout: 60_000,
  }, async () => {
    let sessionId = "";
    const emulator = await startEmulator({
      onRequest: async (request) => {
        sessionId = request.sessionId ?? sessionId;
        if (request.method !== "PUT") return undefined;
        await emulator.expireSession(sessionId);
        return "hang-before";
      },
    });
    onTestFinished(async () => await emulator.close());
    const cwd = temporaryDirectory();
    layOut(join(cwd, "app"), { noise });
    const manifest = "version: 1\nroot: /tmp/workspace\nsession: { image: agb-code-space-1 }\n";
    writeFileSync(join(cwd, "agb-sync.yaml"), `${manifest}trees: [{ source: app, path: . }]\n`);
    const startedMs = performance.now();
    const { code, stderr } = await run(["apply", "--yes"], {
      cwd,
      env: { AGB_API_KEY: emulator.apiKey, AGB_ENDPOINT: emulator.url },
    });
    expect({ code, stderr }).toMatchObject({ code: 69, stderr: expect.stringContaining("the session is gone") });
    expect(stderr).toMatch(/waiting for the service \(upload the contents\), try 1 of 6/);
    expect(performance.now() - startedMs).toBeLessThan(30_000);
  });
});
