import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { apply } from "../../src/reconcile/apply-plan.ts";
import { makePlan } from "../../src/reconcile/make-plan.ts";
import { kinds } from "../helpers/kinds.ts";
import { layOut, mirrorOf, temporaryDirectory } from "../helpers/workspace.ts";

const { signal } = new AbortController();

describe.each(kinds)("$name", ({ strategy, open }) => {
  it("keeps its state out of a repository, and says so when it was removed all the same (S17)", async () => {
    const { session, rootDirectory } = await open();
    const directory = temporaryDirectory();
    const options = { strategy, signal } as const;
    const git = (...args: string[]) => execFileSync("git", ["-C", rootDirectory, ...args], { encoding: "utf8" });
    layOut(join(directory, "source"), { a: "1", b: "1" });
    await apply(mirrorOf(directory), session, options);
    git("init", "-q");
    git("add", "-A");
    expect(git("ls-files").split("\n").filter(Boolean)).toEqual(["a", "b"]);
    git("clean", "-fdq");
    expect(readFileSync(join(rootDirectory, ".agb-sync/.gitignore"), "utf8")).toBe("*\n");
    expect(existsSync(join(rootDirectory, ".agb-sync/base.json"))).toBe(true);
    expect((await makePlan(mirrorOf(directory), session, options)).plan).toMatchObject({ steps: [], warnings: [] });
    git("clean", "-ffdxq");
    expect(existsSync(join(rootDirectory, ".agb-sync"))).toBe(false);
    writeFileSync(join(directory, "source/b"), "2");
    const { plan } = await makePlan(mirrorOf(directory), session, options);
    expect(plan.warnings).toEqual([expect.stringMatching(/no record of an earlier apply.*git clean -x/)]);
    const overwriting = { ...options, onConflict: "overwrite" } as const;
    expect(await apply(mirrorOf(directory), session, overwriting)).toMatchObject({ verified: true, conflicts: [] });
    expect((await makePlan(mirrorOf(directory), session, options)).plan).toMatchObject({ steps: [], warnings: [] });
    expect(existsSync(join(rootDirectory, ".agb-sync/.gitignore"))).toBe(true);
    await session.close();
  });
});
