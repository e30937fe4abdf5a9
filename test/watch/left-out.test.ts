import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { connect } from "../../src/connect.ts";
import { walkSourceTree } from "../../src/desired/walk-source-tree.ts";
import { apply } from "../../src/reconcile/apply-plan.ts";
import { look } from "../helpers/look.ts";
import { layOut, manifestOf, mirrorOf, temporaryDirectory } from "../helpers/workspace.ts";

describe("what becomes ignored", () => {
  it.each([
    { by: ".gitignore", text: "gitignore: true", rule: "*.log\nbuild/\n" },
    { by: "exclude", text: 'exclude: ["*.log", build/]', rule: "" },
  ])("is left in the session, whether $by says so (W25)", async ({ text, rule }) => {
    const directory = temporaryDirectory();
    const source = join(directory, "source");
    layOut(source, {
      "a.log": "1",
      "build/deep/out": "2",
      "build/x": "3",
      kept: "4",
      gone: "5",
      ".gitignore": "none\n",
    });
    const { signal } = new AbortController();
    const local = join(directory, "session");
    const session = await connect({ local, env: {}, cwd: "/", signal });
    await apply(mirrorOf(directory), session, { signal });
    writeFileSync(join(source, ".gitignore"), `none\n${rule}`);
    rmSync(join(source, "gone"));
    const manifest = manifestOf(directory, `trees: [{ source: source, path: ., ${text} }]\n`);
    const report = await apply(manifest, session, { signal });
    expect(report.conflicts).toEqual([]);
    const found = look(join(local, "tmp/workspace"), { modes: false });
    expect(Object.keys(found)).toEqual([
      ".gitignore",
      "a.log",
      "build",
      "build/deep",
      "build/deep/out",
      "build/x",
      "kept",
    ]);
  });
});

describe("what vanishes while it is looked at", () => {
  it("is gone, when it is a link or a file", () => {
    const directory = temporaryDirectory();
    layOut(join(directory, "source"), { link: { link: "kept" }, file: "1", kept: "2" });
    const [spec] = mirrorOf(directory).trees;
    if (spec === undefined) throw new Error("no tree");
    const leaving = (path: string) => {
      if (path !== "kept") rmSync(join(directory, "source", path));
      return false;
    };
    const walk = walkSourceTree(spec, leaving, "agb-sync.yaml");
    expect(walk.entries.map(({ path }) => path)).toEqual(["kept"]);
    expect(walk.unreadable).toEqual([]);
  });
});
