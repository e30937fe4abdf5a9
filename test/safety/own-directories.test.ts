import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { startEmulator } from "../../src/emulator/start-emulator.ts";
import { run, start, waitForLine } from "../helpers/cli.ts";
import { layOut, temporaryDirectory } from "../helpers/workspace.ts";

const manifest = "version: 1\nroot: /tmp/workspace\ntrees: [{ source: ., path: PLACE }]\n";

/** A project that is its own source. */
function project(place = "."): string {
  const directory = join(temporaryDirectory(), "project");
  layOut(directory, { "app/f": "1", "agb-sync.yaml": manifest.replace("PLACE", place) });
  return directory;
}

describe("a source that holds the session's directory (S46)", () => {
  it.each<[string, readonly string[], ((directory: string) => void)?]>([
    ["in it", ["--local", "S"]],
    ["by default", ["--local"]],
    ["by steps", ["--local", "S", "--strategy", "steps"]],
    ["further down", ["--local", "build/deep/session"]],
    ["through a link", ["--local", "L/S"], (directory) => symlinkSync(".", join(directory, "L"))],
    ["the source itself", ["--local", "."]],
    ["made by hand", ["--local", "S"], (directory) => mkdirSync(join(directory, "S"))],
    ["above", ["--local", ".."]],
  ])("leaves it out: %s", async (_name, options, prepare) => {
    const cwd = project();
    prepare?.(cwd);
    const applies = [];
    for (let time = 0; time < 3; time += 1) applies.push(await run(["apply", ...options], { cwd }));
    expect(applies.map(({ code }) => code)).toEqual([0, 0, 0]);
    for (const { stdout, stderr } of applies.slice(1)) {
      expect(stdout).toContain("Nothing to do");
      expect(stderr.match(/left out/g)?.length ?? 0).toBeLessThanOrEqual(1);
    }
  });

  it.each(["plan", "apply"])("says so once, in %s, and not when ignore names it", async (command) => {
    const cwd = project("app");
    const args = [command, "--local", "my session"];
    await run(["apply", "--local", "my session"], { cwd });
    const { stdout, stderr } = await run(args, { cwd });
    expect(`${stdout}${stderr}`.match(/my session holds a session of agb-sync and is left out/g)).toHaveLength(1);
    writeFileSync(join(cwd, "agb-sync.yaml"), `${manifest.replace("PLACE", "app")}ignore: ["my session/"]\n`);
    const second = await run(args, { cwd });
    expect(`${second.stdout}${second.stderr}`).not.toContain("left out");
  });

  it("leaves out the files of an emulator, and of any other session", async () => {
    const cwd = project();
    const emulator = await startEmulator({ rootDir: join(cwd, "emulated") });
    const env = { AGB_API_KEY: emulator.apiKey, AGB_ENDPOINT: emulator.url };
    try {
      const created = await run(["session", "create", "--json"], { cwd, env });
      const id = /"(?:id|sessionId)":"([^"]+)"/.exec(created.stdout)?.[1] ?? "";
      for (const expected of ["Applied", "Nothing to do", "Nothing to do"])
        expect((await run(["apply", "--session", id], { cwd, env })).stdout).toContain(expected);
    } finally {
      await emulator.close();
    }
  });

  it("does not copy itself for ever under watch", async () => {
    const cwd = project();
    const child = start(["watch", "--local", "--rescan", "200ms", "--json"], { cwd });
    let said = "";
    child.stdout?.on("data", (text: string) => {
      said += text;
    });
    await waitForLine(child, /"ready"/);
    writeFileSync(join(cwd, "app/f"), "2");
    await expect
      .poll(() => readFileSync(join(cwd, ".agb-sync/local/tmp/workspace/app/f"), "utf8"), { timeout: 10_000 })
      .toBe("2");
    await new Promise((resolve) => setTimeout(resolve, 700));
    expect(said.match(/"type":"cycle"/g)).toHaveLength(1);
  });

  it.each([
    ["a tree", "trees: [{ source: S/tmp/workspace/in, path: out }]"],
    ["a file", "files: [{ source: S/tmp/workspace/in/f, path: out }]"],
  ])("refuses %s that the session would write over", async (_name, text) => {
    const cwd = project();
    layOut(join(cwd, "S/tmp/workspace"), { "in/f": "1" });
    writeFileSync(join(cwd, "agb-sync.yaml"), `version: 1\nroot: /tmp/workspace\n${text}\n`);
    const { code, stderr } = await run(["apply", "--local", "S"], { cwd });
    expect([code, stderr]).toEqual([
      65,
      expect.stringMatching(/lies in .*S\/tmp\/workspace, where the session keeps its files/),
    ]);
  });
});
