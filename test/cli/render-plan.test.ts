import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { foldCreations } from "../../src/cli/fold-creations.ts";
import type { Step } from "../../src/plan/plan.ts";
import { digestOf } from "../../src/tree/digest.ts";
import { workspacePath } from "../../src/tree/workspace-path.ts";
import { run } from "../helpers/cli.ts";
import { layOut, temporaryDirectory } from "../helpers/workspace.ts";
import { converse, hasTerminal, keys } from "./terminal.ts";

const MANIFEST = `version: 1
root: /w
trees: [{ source: app, path: app }]
files: [{ path: seed.conf, content: declared }]
`;

/** 100 creations and one of everything that may hurt; moves are left out by other bytes in every file. */
async function dangerous(): Promise<string> {
  const cwd = temporaryDirectory();
  const old = Object.fromEntries(["gone1", "gone2", "z-gone3", "changed", "kind"].map((name) => [name, `old ${name}`]));
  layOut(cwd, { "agb-sync.yaml": MANIFEST });
  layOut(join(cwd, "app"), { ...old, "dir/inner": "inner", "from.txt": "moves", script: "mode" });
  expect(await run(["apply", "--local"], { cwd })).toMatchObject({ code: 0 });
  const fresh = Array.from({ length: 100 }, (_, index) => [`new/d${index % 4}/f${index}`, `new ${index}`] as const);
  const script = { bytes: "mode", mode: 0o755 };
  const changed = { changed: "new", "kind/x": "x", dir: "a file now", "to.txt": "moves", script };
  layOut(join(cwd, "app"), { ...Object.fromEntries(fresh), ...changed });
  writeFileSync(join(cwd, ".agb-sync/local/w/seed.conf"), "of the session");
  return cwd;
}

const hurting = [
  "  - app/dir/ (makes way for a file)",
  "  - app/dir/inner",
  "  - app/gone1",
  "  - app/gone2",
  "  - app/kind (makes way for a directory)",
  "  - app/z-gone3",
  "  ~ app/changed (3 B)",
  "  + app/dir (10 B, instead of a directory)",
  "  + app/kind/ (instead of a file)",
  "  > app/from.txt -> app/to.txt",
  "  m app/script (mode 0644 -> 0755)",
  "  ! conflict seed.conf: changed in the session since the last apply",
];
const summary = "Plan: 108 to create, 1 to write, 1 to move, 1 to change mode, 6 to delete; 1 conflict left alone.";

describe("a plan with a hundred creations and a few things that hurt", () => {
  it.each([
    ["plan", 1],
    ["apply", 1],
    ["verify", 0],
  ])("shows those first, and everything, in a pipe: %s", async (command, sums) => {
    const { stdout } = await run([command, "--local"], { cwd: await dangerous() });
    const lines = stdout.split("\n");
    expect(lines.slice(0, hurting.length)).toEqual(hurting);
    expect(lines.filter((line) => /^ {2}\+ app\/new\/d\d\/f\d+ \(\d B\)$/.test(line))).toHaveLength(100);
    expect(stdout).not.toMatch(/-v shows|more/);
    expect(lines.filter((line) => line === summary)).toHaveLength(sums);
  });

  it("shows what stays as the session has it", async () => {
    const { stdout } = await run(["plan", "--local", "--on-conflict", "keep"], { cwd: await dangerous() });
    expect(stdout).toContain("  = seed.conf: the session's version is kept\n");
    expect(stdout).toMatch(/6 to delete; 1 kept as the session has it\.\n$/);
  });

  it.skipIf(!hasTerminal)("counts creations by directory on a terminal, and asks with the counts", async () => {
    const cwd = await dangerous();
    const question =
      "6 to delete, 2 to replace \\(1 after a backup\\), 1 to move, 1 to change mode, 108 to create\\. Apply this\\? \\[y/N\\] ";
    const { said, code, unasked } = await converse(["apply", "--local", "--on-conflict", "overwrite"], cwd, [
      [question, `n${keys.enter}`],
    ]);
    expect([code, unasked]).toEqual([1, []]);
    const folded = hurting.slice(0, -1);
    folded.splice(9, 0, "  ~ seed.conf (8 B, after a backup)");
    const from = said.indexOf("  - app/dir/");
    expect(said.slice(from).split("\n").slice(0, 20)).toEqual([
      ...folded,
      "  + app/kind/x (1 B)",
      "  + app/new/",
      ...[0, 1, 2, 3].map((digit) => `  + app/new/d${digit}/ (25 files, 1${digit < 2 ? 47 : 48} B)`),
      "  (-v shows each of them)",
      "",
    ]);
  });

  it.skipIf(!hasTerminal)("says that nothing is kept of what --no-backup replaces", async () => {
    const talk = [["Apply this", `n${keys.enter}`]] as const;
    const args = ["apply", "--local", "--on-conflict", "overwrite", "--no-backup"];
    const { said } = await converse(args, await dangerous(), talk);
    expect(said).toContain("~ seed.conf (8 B, without a backup)");
    expect(said).toContain("2 to replace (1 of somebody else, without a backup)");
    expect(said).not.toContain("after a backup");
  });
});

it("tells at apply what cannot be read or done, though there is no step", async () => {
  const cwd = temporaryDirectory();
  layOut(cwd, { "agb-sync.yaml": "version: 1\nroot: /w\nfiles: [{ path: a, content: a }]\n" });
  await run(["apply", "--local"], { cwd });
  writeFileSync(
    join(cwd, "agb-sync.yaml"),
    "version: 1\nroot: /w\nfiles: [{ path: a, content: b }]\nonConflict: keep\n",
  );
  writeFileSync(join(cwd, ".agb-sync/local/w/a"), "of the session");
  const { stdout } = await run(["apply", "--local"], { cwd });
  expect(stdout).toContain("  = a: the session's version is kept\n");
});

describe("foldCreations", () => {
  const file = (path: string, sensitive = false): Step => ({
    op: "write",
    path: workspacePath(path),
    mode: 0o644,
    sizeBytes: 10,
    digest: digestOf(path),
    backup: false,
    sensitive,
  });
  const directory = (path: string): Step => ({ op: "create-directory", path: workspacePath(path), mode: 0o755 });
  const link = (path: string): Step => ({ op: "create-link", path: workspacePath(path), target: "t", backup: false });
  const many = (count: number, name: (index: number) => string) =>
    Array.from({ length: count }, (_, index) => name(index));

  it.each<[string, readonly Step[], readonly string[]]>([
    ["few are shown one by one", [directory("a"), file("a/b"), link("l")], ["+ a/", "+ a/b (10 B)", "+ l -> t"]],
    ["many in the root", many(21, (index) => `f${index}`).map((path) => file(path)), ["+ ./ (21 files, 210 B)"]],
    [
      "one alone in its directory is shown itself",
      [file("alone/x"), ...many(20, (index) => `d/f${index}`).map((path) => file(path))],
      ["+ alone/x (10 B)", "+ d/ (20 files, 200 B)"],
    ],
    [
      "links, directories and secrets are counted, the size of secrets is not",
      [directory("d"), link("d/l"), file("d/s", true), ...many(20, (index) => `d/f${index}`).map((path) => file(path))],
      ["+ d/ (21 files, 1 link, 200 B, 1 sensitive)"],
    ],
    [
      "as deep as twenty lines allow",
      many(60, (index) => `a/b${index % 5}/c${index % 30}/f${index}`).map((path) => file(path)),
      many(5, (digit) => `+ a/b${digit}/ (12 files, 120 B)`),
    ],
    [
      "more directories at the top than lines are one line",
      many(60, (index) => `d${index}`).flatMap((path) => [directory(path), file(`${path}/f`)]),
      ["+ ./ (60 files, 60 directories, 600 B)"],
    ],
    [
      "names that fool a terminal are escaped",
      many(21, (index) => `d\u001b[31m/f${index}`).map((path) => file(path)),
      ["+ d\\x1b[31m/ (21 files, 210 B)"],
    ],
  ])("%s", (_what, steps, lines) => {
    expect(foldCreations(steps)).toEqual(lines);
  });
});
