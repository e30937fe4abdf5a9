import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { SourceWalk } from "../../src/desired/walk-source-tree.ts";
import { walkSourceTree } from "../../src/desired/walk-source-tree.ts";
import { ignoreMatcher } from "../../src/manifest/ignore-matcher.ts";
import type { TreeSpec } from "../../src/manifest/manifest.ts";
import { ROOT } from "../../src/tree/workspace-path.ts";
import type { Local } from "../helpers/workspace.ts";
import { layOut, temporaryDirectory } from "../helpers/workspace.ts";
import { asNobody } from "./as-nobody.ts";

function walk(source: string, more: Partial<TreeSpec> = {}, ignore: readonly string[] = []): SourceWalk {
  const spec: TreeSpec = { source, path: ROOT, exclude: [], gitignore: false, at: { line: 7, column: 5 }, ...more };
  return walkSourceTree(spec, ignoreMatcher(ignore), "agb-sync.yaml");
}

function walkOf(
  entries: Readonly<Record<string, Local>>,
  more: Partial<TreeSpec> = {},
  ignore: readonly string[] = [],
) {
  const source = join(temporaryDirectory(), "tree");
  layOut(source, entries);
  const { entries: found, warnings, unreadable } = walk(source, more, ignore);
  const paths = found.map((entry) => `${entry.path}${entry.kind === "directory" ? "/" : ""}`);
  return { source, paths, warnings, unreadable };
}

describe("walking a tree", () => {
  it("gives every entry, a directory before what is in it", () => {
    const { paths } = walkOf({
      "b/c": "",
      "b.txt": "",
      a: "",
      "b/d/e": "",
      empty: { directory: true },
      l: { link: "b/c" },
    });
    expect(paths).toEqual(["a", "b/", "b/c", "b/d/", "b/d/e", "b.txt", "empty/", "l"]);
  });

  it("leaves out what it is told to, and does not look inside", () => {
    const { paths } = walkOf(
      { "a.map": "", "dist/a": "", "keep/dist": "", "x/node_modules/y": "", ".git/config": "", ".agb-sync/base": "" },
      { exclude: ["dist/", "*.map"] },
      ["node_modules/"],
    );
    expect(paths).toEqual([".git/", ".git/config", "keep/", "keep/dist", "x/"]);
  });

  it("heeds .gitignore files in any directory, and what they take back", () => {
    const entries = {
      ".gitignore": "*.log\n/build/\nsub/gone/\n",
      "a.log": "",
      "build/a": "",
      "sub/.gitignore": "!keep.log\nown\n",
      "sub/keep.log": "",
      "sub/other.log": "",
      "sub/own": "",
      "sub/gone/.gitignore": "!*\n",
      "sub/gone/a": "",
      "sub/build/a": "",
      ".git/HEAD": "",
    };
    expect(walkOf(entries, { gitignore: true }).paths).toEqual([
      ".gitignore",
      "sub/",
      "sub/.gitignore",
      "sub/build/",
      "sub/build/a",
      "sub/keep.log",
    ]);
    expect(walkOf(entries).paths).toContain("build/a");
  });

  it("leaves out what git leaves out", () => {
    const names = fc.constantFrom("a", "b", "c.log", "[a] !#", "build");
    const path = fc.array(names, { minLength: 1, maxLength: 3 }).map((parts) => parts.join("/"));
    const pattern = fc
      .tuple(
        fc.constantFrom("", "!", "/", "!/", "**/"),
        fc.oneof(path, fc.constantFrom("*", "*.log", "a/**", "**/b", "[ab]", "?", "*/b")),
        fc.constantFrom("", "/", " ", "\r"),
      )
      .map((parts) => parts.join(""));
    const rules = fc.dictionary(
      fc.constantFrom("", "a/", "a/b/", "[a] !#/", "build/"),
      fc.array(pattern, { maxLength: 4 }),
      {
        maxKeys: 3,
      },
    );
    const isAbove = (one: string, other: string) => other.startsWith(`${one}/`);
    const property = fc.property(fc.uniqueArray(path, { minLength: 1, maxLength: 10 }), rules, (paths, levels) => {
      const leaves = paths.filter((one) => !paths.some((other) => isAbove(one, other) || isAbove(other, one)));
      const below = Object.entries(levels).filter(
        ([directory]) => !leaves.some((leaf) => directory.startsWith(`${leaf}/`)),
      );
      const ignores = below.map(([directory, lines]) => [`${directory}.gitignore`, `${lines.join("\n")}\n`]);
      const source = join(temporaryDirectory(), "tree");
      layOut(source, Object.fromEntries([...leaves.map((leaf) => [leaf, ""]), ...ignores]));
      execFileSync("git", ["init", "-q"], { cwd: source });
      const listed = execFileSync("git", ["ls-files", "-z", "--others", "--exclude-standard"], {
        cwd: source,
        encoding: "utf8",
      });
      const files = walk(source, { gitignore: true }).entries.flatMap((entry) =>
        entry.kind === "file" ? [entry.path] : [],
      );
      expect(files.map(String).toSorted()).toEqual(listed.split("\0").slice(0, -1).toSorted());
    });
    expect(() => fc.assert(property, { numRuns: Number(process.env["FUZZ_RUNS"] ?? 300) / 10 })).not.toThrow();
  });

  it("skips FIFOs with a notice and opens none (W32)", () => {
    const source = temporaryDirectory();
    writeFileSync(join(source, "a"), "");
    execFileSync("mkfifo", [join(source, "pipe")]);
    const { entries, warnings, unreadable } = walk(source);
    expect([entries.map(({ path }) => path), unreadable]).toEqual([["a"], []]);
    expect(warnings).toEqual([`${join(source, "pipe")} is a socket, FIFO or device and is skipped`]);
  });

  it.each([
    ["up and out", "../outside"],
    ["far out", "../../../etc/passwd"],
    ["absolutely", "/etc/passwd"],
    ["in and out again", "../tree/../outside"],
  ])("refuses a link that leads out: %s (S26)", (_name, link) => {
    const source = join(temporaryDirectory(), "tree");
    layOut(source, { l: { link } });
    expect(() => walk(source)).toThrow(
      expect.objectContaining({
        code: "SOURCE_ESCAPES",
        message: `${join(source, "l")} is a link to ${link}, which leaves its tree (agb-sync.yaml:7)`,
      }),
    );
    expect(walk(source, { exclude: ["l"] }).entries).toEqual([]);
  });

  it("keeps links that stay inside as they are, also to nothing", () => {
    const { paths } = walkOf({ "a/l": { link: "../b/./c" }, b: { link: "." }, c: { link: "nothing" } });
    expect(paths).toEqual(["a/", "a/l", "b", "c"]);
  });

  it.runIf(process.platform === "linux")("leaves out names that are not UTF-8, and says so (S13)", () => {
    const source = temporaryDirectory();
    writeFileSync(Buffer.concat([Buffer.from(`${source}/`), Buffer.from([0x61, 0xff])]), "");
    writeFileSync(join(source, "b"), "");
    const { entries, unreadable, warnings } = walk(source);
    expect(entries.map(({ path }) => path)).toEqual(["b"]);
    expect(unreadable).toHaveLength(1);
    expect(warnings).toEqual([expect.stringContaining("has a name that is not UTF-8 and is left out")]);
  });

  it("takes hostile names as they are", () => {
    const names = ["$(touch x)", "-rf", " ", "a\nb", "'\"`", "\u202e", "🙂", "\\", "*"];
    expect(walkOf(Object.fromEntries(names.map((name) => [name, ""]))).paths.toSorted()).toEqual(names.toSorted());
  });

  it("leaves out what it may not list or what has rules that it may not read", async () => {
    const source = temporaryDirectory();
    layOut(join(source, "closed"), { a: "" });
    layOut(join(source, "ruled"), { ".gitignore": "secret", secret: "" });
    mkdirSync(join(source, "open"));
    for (const path of ["closed", "ruled/.gitignore"]) chmodSync(join(source, path), 0);
    chmodSync(source, 0o755);
    const { entries, unreadable, warnings } = await asNobody(async () => walk(source, { gitignore: true }));
    expect(entries.map(({ path }) => path)).toEqual(["closed", "open", "ruled"]);
    expect(unreadable).toEqual([join(source, "closed"), join(source, "ruled/.gitignore")]);
    expect(warnings).toHaveLength(2);
    chmodSync(join(source, "closed"), 0o755);
  });
});
