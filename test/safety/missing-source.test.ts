import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { run } from "../helpers/cli.ts";
import { layOut, temporaryDirectory } from "../helpers/workspace.ts";

const MANIFEST = "version: 1\nroot: /tmp/workspace\ntrees: [{ source: source, path: app }]\n";

function project() {
  const cwd = temporaryDirectory();
  layOut(join(cwd, "source"), { a: "1", "d/b": "2" });
  writeFileSync(join(cwd, "agb-sync.yaml"), MANIFEST);
  return { cwd, there: () => existsSync(join(cwd, ".agb-sync/local/tmp/workspace/app/d/b")) };
}

describe("a source from which a former apply brought files (S12)", () => {
  it.each([
    ["empty", (source: string) => rmSync(source, { recursive: true })],
    ["missing", (source: string) => renameSync(source, `${source}.away`)],
    ["left with an empty directory", (source: string) => rmSync(join(source, "d/b"))],
  ])("stops everything with exit 5 when it is %s, until that is said to be meant", async (what, change) => {
    const { cwd, there } = project();
    expect((await run(["apply", "--local", "--yes"], { cwd })).code).toBe(0);
    change(join(cwd, "source"));
    if (what === "empty") mkdirSync(join(cwd, "source"));
    if (what.startsWith("left")) rmSync(join(cwd, "source/a"));
    const stopped = await run(["apply", "--local", "--yes"], { cwd });
    expect([stopped.code, stopped.stderr]).toEqual([5, expect.stringContaining("--allow-mass-delete")]);
    expect(stopped.stderr).toContain(what === "missing" ? "is missing" : "is empty");
    expect(there()).toBe(true);
    const meant = await run(["apply", "--local", "--yes", "--allow-mass-delete"], { cwd });
    expect([meant.code, meant.stderr]).toEqual([0, expect.anything()]);
    expect(there()).toBe(false);
  });

  it("is a fault of the manifest where nothing came from it", async () => {
    const { cwd } = project();
    rmSync(join(cwd, "source"), { recursive: true });
    const { code, stderr } = await run(["apply", "--local", "--yes"], { cwd });
    expect([code, stderr]).toEqual([65, expect.stringContaining("agb-sync.yaml:3:")]);
  });

  it("stops nothing when it was always empty and something else is edited beside it", async () => {
    const { cwd } = project();
    layOut(join(cwd, "source"), {});
    const manifest = (content: string) =>
      `version: 1\nroot: /tmp/workspace\ntrees: [{ source: source, path: . }]\nfiles: [{ path: a, content: ${content} }]\n`;
    for (const content of ["one", "two"]) {
      writeFileSync(join(cwd, "agb-sync.yaml"), manifest(content));
      expect((await run(["apply", "--local", "--yes"], { cwd })).code).toBe(0);
    }
  });
});
