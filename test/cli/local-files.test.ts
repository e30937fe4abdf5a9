import { chmodSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { run, start, waitForLine } from "../helpers/cli.ts";
import { layOut, temporaryDirectory } from "../helpers/workspace.ts";
import { runAsNobody } from "./as-nobody.ts";
import { jsonLines } from "./json-lines.ts";

function project(): string {
  const cwd = temporaryDirectory();
  layOut(cwd, { "agb-sync.yaml": 'version: 1\nroot: /w\nfiles: [{ path: a.txt, content: "a" }]\n', file: "x" });
  mkdirSync(join(cwd, "plan.json"));
  return cwd;
}

describe("a local file or directory that cannot be used", () => {
  it.each<[string, string[], number, RegExp]>([
    ["--out into nowhere", ["plan", "--local", "--out", "no/p.json"], 1, /cannot write no\/p\.json: there is no such/],
    ["--out onto a directory", ["plan", "--local", "--out", "plan.json"], 1, /cannot write plan\.json: it is a dir/],
    ["a saved plan that is a directory", ["apply", "plan.json"], 1, /cannot read plan\.json: it is a directory/],
    ["--local on a file", ["apply", "--local", "file"], 64, /--local file is not a directory/],
    ["--local below a file", ["apply", "--local", "file/x"], 1, /file\/x: a part of the path is not a directory/],
    ["-C to nowhere", ["-C", "nope", "plan"], 64, /-C nope: .* there is no such file or directory/],
    ["-C to a file", ["-C", "file", "plan"], 64, /-C file: it is not a directory/],
    ["-C below a file", ["-C", "file/x", "plan"], 64, /-C file\/x: .* a part of the path is not a directory/],
    ["the emulator's root on a file", ["emulator", "--root", "file"], 64, /cannot keep its files in \S+file/],
  ])("is no fault of ours: %s", async (_what, args, code, message) => {
    const finished = await run(args, { cwd: project() });
    expect([finished.code, finished.stderr]).toEqual([code, expect.stringMatching(message)]);
    expect(finished.stderr).not.toMatch(/fault in agb-sync|E[A-Z]{4,}:/);
  });

  it("is told as JSON too", async () => {
    const { stdout } = await run(["plan", "--local", "--out", "no/p.json", "--json"], { cwd: project() });
    expect(jsonLines(stdout)).toMatchObject([{ type: "plan" }, { type: "error", code: "LOCAL_FAILED", exitCode: 1 }]);
  });

  it.each<[string, string[], RegExp]>([
    ["apply", ["apply", "--local"], /cannot create \S+\.agb-sync: permission denied\nhint: .*another place/],
    ["plan --out", ["plan", "--local", "open", "--out", "p.json"], /cannot write p\.json: permission denied\nhint/],
    ["init", ["-C", "empty", "init"], /cannot write agb-sync\.yaml: permission denied\nhint/],
    ["a manifest", ["validate", "other/secret.yaml"], /secret\.yaml cannot be read: .*permission denied/],
  ])("is named where permissions are missing: %s", async (_what, args, message) => {
    const cwd = project();
    for (const name of ["open", "empty"]) mkdirSync(join(cwd, name));
    chmodSync(join(cwd, "open"), 0o777);
    layOut(join(cwd, "other"), { "secret.yaml": { bytes: "version: 1", mode: 0 } });
    chmodSync(cwd, 0o555);
    onTestFinished(() => chmodSync(cwd, 0o755));
    const { stderr } = await runAsNobody(args, cwd);
    expect(stderr).toMatch(message);
    expect(stderr).not.toContain("fault in agb-sync");
  });

  it("is a port in use", async () => {
    const first = start(["emulator"], { cwd: temporaryDirectory() });
    const port = /:(\d+)/.exec(await waitForLine(first, /^AGB emulator/))?.[1] ?? "";
    const { code, stderr } = await run(["emulator", "--port", port], { cwd: temporaryDirectory() });
    expect([code, stderr]).toEqual([64, expect.stringMatching(`port ${port} of 127.0.0.1 is taken`)]);
    expect(stderr).toMatch(/hint: choose another with --port/);
  });
});
