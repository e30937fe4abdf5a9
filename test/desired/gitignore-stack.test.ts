import { describe, expect, it } from "vitest";
import { GitignoreStack } from "../../src/desired/gitignore-stack.ts";

type Level = readonly [directory: string, rules: string];

/** One `.gitignore` for each directory on the way down. */
function stackOf(...levels: readonly Level[]): GitignoreStack {
  return levels.reduce((stack, [directory, rules]) => stack.enter(directory, rules), new GitignoreStack());
}

describe("rules in one another", () => {
  const levels: readonly Level[] = [
    ["", "*.log\n/build/\ndocs/*.txt\n"],
    ["sub", "!keep.log\n/own\n"],
    ["sub/deep", "*.log\n!/a.log\n"],
  ];

  it.each([
    ["a.log", false, true],
    ["build", true, true],
    ["build", false, false],
    ["sub/build", true, false],
    ["docs/a.txt", false, true],
    ["docs/sub/a.txt", false, false],
    ["sub/a.log", false, true],
    ["sub/keep.log", false, false],
    ["sub/own", false, true],
    ["sub/x/own", false, false],
    ["sub/deep/keep.log", false, true],
    ["sub/deep/a.log", false, false],
    ["sub/deep/b/a.log", false, true],
    ["A.LOG", false, false],
  ])("say of %s (directory: %s): left out %s", (path, isDirectory, expected) => {
    expect(stackOf(...levels).isIgnored(path, isDirectory)).toBe(expected);
  });

  it("take back a directory, and with it what is in it", () => {
    const stack = stackOf(["", "*/b\n*.log\n"], ["a", "!b\n"]);
    expect(["a/b/c", "a/b/c.log"].map((path) => stack.isIgnored(path, false))).toEqual([false, true]);
  });

  it("hold in directories whose names look like patterns", () => {
    const stack = stackOf(["[a]* !", "/x\ny/z\n!w\n\n/\n#c\n\\#d\n"]);
    const inside = ["x", "s/x", "y/z", "w", "#c", "#d"].map((path) => stack.isIgnored(`[a]* !/${path}`, false));
    expect([inside, stack.isIgnored("a !/x", false)]).toEqual([[true, false, true, false, false, true], false]);
  });

  it("leave nothing out where there are none", () => {
    expect(new GitignoreStack().isIgnored("a", false)).toBe(false);
    expect(stackOf(["", "# only a comment\n\n"]).isIgnored("# only a comment", false)).toBe(false);
  });
});
