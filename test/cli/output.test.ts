import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { describe, expect, it, onTestFinished } from "vitest";
import { cliPath, start, waitForLine } from "../helpers/cli.ts";
import { layOut, temporaryDirectory } from "../helpers/workspace.ts";

function project(): string {
  const cwd = temporaryDirectory();
  layOut(cwd, { "agb-sync.yaml": "version: 1\nroot: /w\ntrees: [{ source: src, path: . }]\n", "src/a.txt": "a" });
  return cwd;
}

/** The end of a command whose reader has gone after its first bytes. */
async function endWithoutReader(args: readonly string[], cwd: string): Promise<unknown> {
  const child = start(args, { cwd });
  child.stdout?.once("data", () => child.stdout?.destroy());
  const [code] = await once(child, "exit");
  return code;
}

describe("a reader that has gone", () => {
  it.each([
    ["help", ["--help"], 0],
    ["the schema", ["schema"], 0],
    ["a plan, with its own exit code", ["plan", "--local", "--exit-code"], 2],
    ["an apply", ["apply", "--local"], 0],
  ])("does not change how %s ends", async (_what, args, code) => {
    expect(await endWithoutReader(args, project())).toBe(code);
  });

  it("does not stop an apply", async () => {
    const cwd = project();
    expect(await endWithoutReader(["apply", "--local", "--json"], cwd)).toBe(0);
    expect(readFileSync(join(cwd, ".agb-sync/local/w/a.txt"), "utf8")).toBe("a");
  });

  it("ends watch as SIGTERM does, with everything applied until then", async () => {
    const cwd = project();
    const child = start(["watch", "--local"], { cwd });
    await waitForLine(child, /^Ready/);
    child.stdout?.destroy();
    writeFileSync(join(cwd, "src/b.txt"), "b");
    const [code] = await once(child, "exit");
    expect([code, existsSync(join(cwd, ".agb-sync/local/w/b.txt"))]).toEqual([143, true]);
  });

  it("ends the emulator", async () => {
    const child = start(["emulator"], { cwd: temporaryDirectory() });
    child.stdout?.destroy();
    const [code] = await once(child, "exit");
    expect(code).toBe(0);
  });
});

describe.skipIf(!existsSync("/dev/full"))("a disk that is full", () => {
  it.each([["--help"], ["schema"], ["plan --local --exit-code"], ["apply --local --json"]])(
    "fails %s and says why",
    async (line) => {
      const cwd = project();
      const child = spawn(process.execPath, [cliPath, ...line.split(" ")], {
        cwd,
        stdio: ["ignore", openSync("/dev/full", "w"), "pipe"],
      });
      onTestFinished(() => void child.kill("SIGKILL"));
      if (child.stderr === null) throw new Error("no pipe");
      const [said, [code]] = await Promise.all([text(child.stderr), once(child, "close")]);
      expect([code, said]).toEqual([1, expect.stringContaining("could not be written: ENOSPC")]);
      expect(existsSync(join(cwd, ".agb-sync/local/w/a.txt"))).toBe(line.startsWith("apply"));
    },
  );
});
