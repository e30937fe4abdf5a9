import { existsSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { run } from "../helpers/cli.ts";
import { layOut, temporaryDirectory } from "../helpers/workspace.ts";

const MANIFEST = "version: 1\nroot: /tmp/workspace\ntrees: [{ source: src, path: . }]\n";
const names = Array.from({ length: 8 }, (_, index) => `f${index}`);

/** A project of eight files that was applied, of whose source three are gone. */
async function threeGone(): Promise<{ readonly cwd: string; readonly there: () => number }> {
  const cwd = temporaryDirectory();
  layOut(join(cwd, "src"), Object.fromEntries(names.map((name) => [name, name])));
  writeFileSync(join(cwd, "agb-sync.yaml"), MANIFEST);
  expect((await run(["apply", "--local"], { cwd })).code).toBe(0);
  for (const name of names.slice(0, 3)) rmSync(join(cwd, "src", name));
  const root = join(cwd, ".agb-sync/local/tmp/workspace");
  return { cwd, there: () => readdirSync(root).filter((name) => name.startsWith("f")).length };
}

describe("--max-delete (S14)", () => {
  it("holds for a number and for a share, and is off with --allow-mass-delete", async () => {
    const { cwd, there } = await threeGone();
    for (const limit of ["0", "2", "37%", "0%"]) {
      const stopped = await run(["apply", "--local", "--max-delete", limit], { cwd });
      expect([limit, stopped.code, there()]).toEqual([limit, 5, 8]);
      expect(stopped.stderr).toContain("3 of 8 files");
    }
    expect((await run(["apply", "--local", "--max-delete", "2", "--allow-mass-delete"], { cwd })).code).toBe(0);
    expect(there()).toBe(5);
  });

  it.each(["3", "38%", "100%"])("lets through what is not more than %s", async (limit) => {
    const { cwd, there } = await threeGone();
    expect((await run(["apply", "--local", "--max-delete", limit], { cwd })).code).toBe(0);
    expect(there()).toBe(5);
  });
});

describe("run: (W30, S40)", () => {
  it("comes after a complete apply only: not while a path is in conflict", async () => {
    const cwd = temporaryDirectory();
    layOut(join(cwd, "src"), { a: "1", b: "1" });
    writeFileSync(join(cwd, "agb-sync.yaml"), `${MANIFEST}run: [{ command: "echo x >>ran" }]\n`);
    const root = join(cwd, ".agb-sync/local/tmp/workspace");
    layOut(root, { a: "theirs" });
    expect((await run(["apply", "--local"], { cwd })).code).toBe(3);
    expect([existsSync(join(root, "b")), existsSync(join(root, "ran"))]).toEqual([true, false]);
    expect((await run(["apply", "--local", "--on-conflict", "overwrite"], { cwd })).code).toBe(0);
    expect(existsSync(join(root, "ran"))).toBe(true);
  });
});
