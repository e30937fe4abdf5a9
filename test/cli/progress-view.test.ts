import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { ProgressLines } from "../../src/cli/progress-bar.ts";
import { ProgressState } from "../../src/cli/progress-state.ts";
import type { Step } from "../../src/plan/plan.ts";
import type { ProgressEvent } from "../../src/progress.ts";
import { workspacePath } from "../../src/tree/workspace-path.ts";
import { sharedEmulator } from "../helpers/kinds.ts";
import { layOut, temporaryDirectory } from "../helpers/workspace.ts";
import { converse, hasTerminal } from "./terminal.ts";

const step: Step = { op: "create-directory", path: workspacePath("d"), mode: 0o755 };
const start = (phase: "sources" | "scan" | "commit" | "run"): ProgressEvent => ({ type: "phase-start", phase });
const end = (phase: "sources" | "scan"): ProgressEvent => ({ type: "phase-end", phase, durationMs: 1, requests: 1 });
const bytes = (doneBytes: number): ProgressEvent => ({ type: "bytes", phase: "deliver", doneBytes, totalBytes: 4e6 });
const applied = (index: number): ProgressEvent => ({
  type: "step",
  index,
  total: 281,
  step,
  result: { status: "applied" },
});
const waiting: ProgressEvent = { type: "waiting", what: "list a", attempt: 2, attempts: 6, silentMs: 7000 };

describe("what is shown of progress", () => {
  it.each<[string, readonly (readonly [number, ProgressEvent])[], number, string]>([
    ["what it is busy with", [[0, start("scan")]], 500, "scanning the session"],
    ["and for how long", [[0, start("scan")]], 65_400, "scanning the session: 1 min 5 s"],
    [
      "the phase that is still open",
      [
        [0, start("scan")],
        [1, start("sources")],
        [9, end("sources")],
      ],
      2000,
      "scanning the session: 2 s",
    ],
    [
      "steps",
      [
        [0, start("commit")],
        [1, applied(7)],
        [2, applied(3)],
      ],
      3000,
      "applying: 2 of 281 steps, 3 s",
    ],
    [
      "bytes, with the rate since the first of them",
      [
        [90_000, start("commit")],
        [90_000, bytes(0)],
        [92_000, bytes(1e6)],
      ],
      92_000,
      "applying: 1.0 MB of 4.0 MB, 500 kB/s, 6 s left, 1 min 32 s",
    ],
    [
      "the session's work after the last byte",
      [
        [0, start("commit")],
        [1, bytes(4e6)],
      ],
      12_000,
      "unpacking and verifying in the session: 4.0 MB sent, 12 s",
    ],
    [
      "that it has begun to apply",
      [
        [0, start("commit")],
        [1, bytes(4e6)],
        [2, applied(0)],
      ],
      2000,
      "applying: 4.0 MB sent, 1 of 281 steps, 2 s",
    ],
    [
      "nothing of the phase before",
      [
        [0, start("commit")],
        [1, bytes(4e6)],
        [2, applied(0)],
        [3, start("run")],
      ],
      2000,
      "running commands: 2 s",
    ],
    [
      "what is waited for",
      [
        [0, start("scan")],
        [7000, waiting],
      ],
      7000,
      "waiting for the service (list a), try 2 of 6, no answer for 7 s",
    ],
    [
      "nothing of a wait that is over",
      [
        [0, start("commit")],
        [7000, waiting],
        [7500, applied(0)],
      ],
      8000,
      "applying: 1 of 281 steps, 8 s",
    ],
  ])("%s", (_what, events, nowMs, text) => {
    const state = new ProgressState(0);
    for (const [ms, event] of events) state.onEvent(event, ms);
    expect(state.text(nowMs, false)).toBe(text);
  });

  it("has a bar on a terminal", () => {
    const state = new ProgressState(0);
    state.onEvent(start("commit"), 0);
    state.onEvent(bytes(2e6), 0);
    expect(state.text(10, true)).toBe("applying [============            ] 2.0 MB of 4.0 MB");
  });
});

describe("without a terminal", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it("says a plain line every five seconds while something is under way, and none at rest", () => {
    const said: string[] = [];
    const lines = new ProgressLines((text) => said.push(text));
    lines.begin("connecting");
    vi.advanceTimersByTime(11_000);
    lines.end("connecting");
    vi.advanceTimersByTime(60_000);
    expect(said).toEqual(["connecting: 5 s", "connecting: 10 s"]);
  });

  it("is quiet while commands speak, and tells a wait at once", () => {
    const said: string[] = [];
    const lines = new ProgressLines((text) => said.push(text));
    lines.onEvent(start("run"));
    for (let second = 0; second < 12; second += 3) {
      lines.onEvent({ type: "output", stream: "stdout", command: "c", text: "." });
      vi.advanceTimersByTime(3000);
    }
    expect(said).toEqual([]);
    lines.onEvent(waiting);
    expect(said).toHaveLength(1);
    vi.advanceTimersByTime(4000);
    expect(said).toHaveLength(1);
  });
});

describe.skipIf(!hasTerminal)("a terminal that is a log", () => {
  it.each([[{ CI: "true" }], [{ TERM: "dumb" }]])("gets no line that is drawn over: %j", async (more) => {
    const cwd = temporaryDirectory();
    layOut(cwd, {
      "agb-sync.yaml": "version: 1\nsession: { name: log }\nroot: /tmp/log\nfiles: [{ path: a, content: a }]\n",
    });
    const emulator = await sharedEmulator();
    const env = { AGB_API_KEY: emulator.apiKey, AGB_ENDPOINT: emulator.url, ...more };
    const { code, raw } = await converse(["apply"], cwd, [], env);
    expect([code, raw]).toEqual([0, expect.not.stringContaining("\u001b")]);
  });
});
