import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { Ink } from "../../src/cli/ink.ts";
import { isIncomplete, renderReport } from "../../src/cli/render-report.ts";
import type { StepResult } from "../../src/engine/engine.ts";
import type { Step } from "../../src/plan/plan.ts";
import type { ApplyReport } from "../../src/report.ts";
import { digestOf } from "../../src/tree/digest.ts";
import { workspacePath } from "../../src/tree/workspace-path.ts";
import { run } from "../helpers/cli.ts";
import { sharedEmulator } from "../helpers/kinds.ts";
import { layOut, temporaryDirectory } from "../helpers/workspace.ts";
import { jsonLines } from "./json-lines.ts";

const tree = "version: 1\nroot: /w\ntrees: [{ source: src, path: . }]\n";

/** A workspace that is as declared, but for a source whose name is no UTF-8: nobody, root included, can take that one. */
async function project(): Promise<string> {
  const cwd = temporaryDirectory();
  layOut(cwd, { "agb-sync.yaml": tree, "src/a.txt": "a" });
  expect((await run(["apply", "--local"], { cwd })).code).toBe(0);
  writeFileSync(Buffer.concat([Buffer.from(`${cwd}/src/`), Buffer.from([0xff])]), "");
  return cwd;
}

describe("a source that cannot be read", () => {
  it.each<[string, number, RegExp]>([
    ["plan --local", 0, /^ {2}\? .*src\/\S+: could not be read\n\nNothing to apply: 1 source could not be read\.\n$/],
    ["plan --local --exit-code", 1, /Nothing to apply: 1 source could not be read/],
    [
      "verify --local",
      1,
      /^ {2}\? .*src\/\S+: could not be read\nNot verified: 1 source of agb-sync\.yaml could not be/,
    ],
    ["validate", 1, /^agb-sync\.yaml is valid, but 1 source cannot be read: 1 file, 1 entry, sha256:\w+\n {2}\? .*src/],
    ["apply --local", 1, /Not complete: 1 source could not be read; 0 of 0 steps done/],
  ])("is told by %s", async (line, code, text) => {
    const finished = await run(line.split(" "), { cwd: await project() });
    expect([finished.code, finished.stdout]).toEqual([code, expect.stringMatching(text)]);
    expect(finished.stdout).not.toContain("as declared");
  });

  it.each([
    ["plan --local --exit-code", {}],
    ["verify --local", { equal: false }],
    ["validate", {}],
    ["apply --local", { type: "summary", exitCode: 1 }],
  ])("is told as JSON by %s", async (line, facts) => {
    const cwd = await project();
    const { code, stdout } = await run([...line.split(" "), "--json"], { cwd });
    const unreadable = [expect.stringContaining(join(cwd, "src"))];
    expect([code, jsonLines(stdout).at(-1)]).toEqual([1, expect.objectContaining({ unreadable, ...facts })]);
  });
});

describe("verify", () => {
  it("says that the session differs, with both digests, also for what is too much", async () => {
    const cwd = temporaryDirectory();
    layOut(cwd, { "agb-sync.yaml": tree, "src/a.txt": "a", "src/b.txt": "b" });
    await run(["apply", "--local"], { cwd });
    const same = await run(["verify", "--local"], { cwd });
    const digest = /sha256:\w+/.exec(same.stdout)?.[0];
    expect(same.stdout).toBe(`Verified: /w equals agb-sync.yaml, ${digest}\n`);
    rmSync(join(cwd, "src/b.txt"));
    const other = await run(["verify", "--local"], { cwd });
    expect([other.code, other.stdout]).toEqual([
      2,
      expect.stringMatching(
        /^ {2}- b\.txt\nDiffers: \/w is not as agb-sync\.yaml declares: declared sha256:\w+, found /,
      ),
    ]);
    expect(other.stdout).toMatch(new RegExp(`found ${digest}\n$`));
    const { stdout } = await run(["verify", "--local", "--json"], { cwd });
    expect(jsonLines(stdout)).toMatchObject([{ equal: false, found: digest }]);
  });

  it("warns of modes that the session does not hold", async () => {
    const emulator = await sharedEmulator({ missingTools: ["shell", "run_code"] });
    const env = { AGB_API_KEY: emulator.apiKey, AGB_ENDPOINT: emulator.url };
    const cwd = temporaryDirectory();
    const files = "files: [{ path: a.sh, content: a, mode: '0755' }]";
    layOut(cwd, { "agb-sync.yaml": `version: 1\nroot: /tmp/w\nsession: { image: i, name: modes }\n${files}\n` });
    await run(["apply"], { cwd, env });
    const { code, stdout, stderr } = await run(["verify"], { cwd, env });
    expect([code, stdout]).toEqual([0, expect.stringMatching(/^Verified: /)]);
    expect(stderr).toContain("1 declared mode is not enforced");
  });
});

describe("a report", () => {
  const ink: Ink = { paint: (_paint, text) => text, foreign: (text) => text };
  const path = workspacePath("a");
  const step: Step = { op: "create-directory", path, mode: 0o755 };
  const reportOf = (results: readonly StepResult[], more: Partial<ApplyReport>): ApplyReport => ({
    sessionId: "s",
    root: "/w",
    plan: {
      version: 1,
      sessionId: "s",
      root: "/w",
      madeFrom: { desired: digestOf(""), actual: digestOf("") },
      steps: [],
      conflicts: [],
      unsupported: [],
      kept: [],
      waiting: [],
      warnings: [],
    },
    strategy: "steps",
    strategyReason: "asked for",
    outcomes: results.map((result) => ({ step, result })),
    conflicts: [],
    unreadable: [],
    verified: true,
    workspaceDigest: digestOf(""),
    backupPath: undefined,
    commands: [],
    owed: [],
    kept: [],
    counters: { requests: 0, bytesSent: 0, bytesReceived: 0, retries: 0 },
    durationMs: 1,
    ...more,
  });

  it.each<[string, readonly StepResult[], Partial<ApplyReport>, boolean, RegExp]>([
    ["nothing to do", [], { verified: false }, false, /^Nothing to do/],
    ["done and verified", [{ status: "applied" }], {}, false, /^Applied: 1 created/],
    [
      "done, not verified (S34)",
      [{ status: "applied" }],
      { verified: false },
      true,
      /^Not complete: .*not be verified; 1 of 1 step done/,
    ],
    [
      "not done",
      [{ status: "applied" }, { status: "skipped", reason: "r" }],
      {},
      true,
      /^Not complete: 1 step not done; 1 of 2 steps/m,
    ],
  ])("is complete or not: %s", (_what, results, more, incomplete, text) => {
    const report = reportOf(results, more);
    expect([isIncomplete(report), renderReport(report, ink)]).toEqual([incomplete, expect.stringMatching(text)]);
  });
});
