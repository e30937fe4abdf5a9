import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { hasCode } from "../../src/errors.ts";
import {
  ancestorsOf,
  baseName,
  comparePaths,
  isBelow,
  isStatePath,
  parentPath,
  workspacePath,
  workspacePathFault,
} from "../../src/tree/workspace-path.ts";

const anyPath = fc
  .array(fc.string({ unit: "grapheme", minLength: 1, maxLength: 8 }), { minLength: 1, maxLength: 4 })
  .map((names) => names.join("/"))
  .filter((text) => workspacePathFault(text) === undefined)
  .map(workspacePath);

describe("workspace paths", () => {
  it.each([
    ["a//b/", "a/b"],
    ["./a/./b", "a/b"],
    [" a ", " a "],
    ["-rf", "-rf"],
    ["a\nb", "a\nb"],
    ["…/ü", "…/ü"],
    ["..a/b..", "..a/b.."],
    [".agb-sync-not", ".agb-sync-not"],
  ])("%j means %j", (text, path) => {
    expect(workspacePath(text)).toBe(path);
  });

  it.each([
    ["", "empty"],
    [".", "root itself"],
    ["/a", "absolute"],
    ["a/../b", '".."'],
    ["..", '".."'],
    ["a\0b", "NUL"],
    ["\ud800", "Unicode"],
    [".agb-sync/base.json", ".agb-sync"],
    ["a".repeat(256), "255"],
    ["a/".repeat(2100), "4095"],
  ])("%j is none", (text, why) => {
    expect(workspacePathFault(text)).toContain(why);
    expect(() => workspacePath(text)).toThrow(expect.toSatisfy((error: unknown) => hasCode(error, "OUTSIDE_ROOT")));
  });

  it("stays as it is once it is one, and lies below each of its ancestors", () => {
    fc.assert(
      fc.property(anyPath, (path) => {
        expect(workspacePath(path)).toBe(path);
        const parent = parentPath(path);
        expect(parent === "" ? baseName(path) : `${parent}/${baseName(path)}`).toBe(path);
        for (const ancestor of ancestorsOf(path)) expect(isBelow(path, ancestor)).toBe(true);
        expect(isBelow(path, path)).toBe(false);
        expect(isStatePath(path)).toBe(false);
      }),
    );
  });
});

describe("the order of paths", () => {
  it("is that of their UTF-8 bytes", () => {
    const unit = fc.constantFrom("a", "/", "~", "é", "\ud7ff", "\ue000", "\uffff", "😀", "\u{10ffff}");
    const text = fc.oneof(fc.string({ unit }), fc.string({ unit: "binary" }));
    fc.assert(
      fc.property(text, text, (one, other) => {
        expect(Math.sign(comparePaths(one, other))).toBe(Buffer.compare(Buffer.from(one), Buffer.from(other)));
      }),
      { numRuns: 1000 },
    );
  });
});
