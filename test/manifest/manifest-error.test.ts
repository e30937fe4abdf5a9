import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Problem } from "../../src/manifest/manifest-error.ts";
import { formatProblem, ManifestError } from "../../src/manifest/manifest-error.ts";

function problem(more: Partial<Problem>): Problem {
  return { code: "BAD_PATH", message: "m", file: "f.yaml", line: 1, column: 1, length: 1, excerpt: "", ...more };
}

describe("a problem in words", () => {
  it.each<readonly [string, Partial<Problem>, string]>([
    ["plain", { excerpt: "root: /", column: 7 }, "    root: /\n          ^"],
    ["a tab before it", { excerpt: "a\t: b", column: 5 }, "    a : b\n        ^"],
    ["an escape before it", { excerpt: "\u001b[2J: b", column: 7 }, "    \\x1b[2J: b\n             ^"],
    ["an escape in it", { excerpt: "a: \u202eb!", column: 4, length: 2 }, "    a: \\u{202e}b!\n       ^^^^^^^^^"],
    ["a C1 character", { excerpt: "\u009b: b", column: 4 }, "    \\x9b: b\n          ^"],
    ["wide characters", { excerpt: "名: 値!", column: 4 }, "    名: 値!\n        ^^"],
    ["an emoji, one character in two units", { excerpt: "🙂: b", column: 5 }, "    🙂: b\n        ^"],
    ["a combining mark", { excerpt: "e\u0301: b", column: 5 }, "    e\u0301: b\n       ^"],
    ["longer than its line", { excerpt: "a: b", column: 4, length: 99 }, "    a: b\n       ^"],
    ["past the end of the line", { excerpt: "a", column: 2 }, "    a\n     ^"],
  ])("shows the line and points at %s", (_what, more, lines) => {
    expect(formatProblem(problem(more))).toBe(`f.yaml:1:${more.column ?? 1}: m (BAD_PATH)\n${lines}`);
  });

  it("shows the part of a very long line that is wrong", () => {
    const excerpt = `${"a".repeat(5000)}WRONG${"b".repeat(5000)}`;
    const [, line = "", carets = ""] = formatProblem(problem({ excerpt, column: 5001, length: 5 })).split("\n");
    expect(line.length).toBeLessThan(200);
    expect(line.slice(carets.indexOf("^"), carets.length)).toBe("WRONG");
  });

  it("shows no line where there is none to show", () => {
    expect(formatProblem(problem({ hint: "h", column: 9 }))).toBe("f.yaml:1:9: m (BAD_PATH)\n  h");
  });

  it("never lets anything through that fools a terminal", () => {
    const text = fc.string({ unit: "binary", maxLength: 40 });
    const property = fc.property(
      text,
      text,
      text,
      text,
      fc.nat(50),
      fc.nat(50),
      (file, message, hint, line, at, length) => {
        const excerpt = line.replaceAll("\n", "");
        const shown = formatProblem(problem({ file, message, hint, excerpt, column: at + 1, length }));
        expect(shown.replaceAll("\n", "")).not.toMatch(/[\p{Cc}\u202a-\u202e\u2066-\u2069]/u);
        expect(shown.split("\n").length).toBeLessThanOrEqual(4);
      },
    );
    expect(() => fc.assert(property)).not.toThrow();
  });
});

describe("the problems of a manifest", () => {
  it("come in the order of the text", () => {
    const places = [
      [3, 1],
      [1, 9],
      [1, 2],
    ] as const;
    const { problems } = new ManifestError(places.map(([line, column]) => problem({ line, column })));
    expect(problems.map(({ line, column }) => [line, column])).toEqual([
      [1, 2],
      [1, 9],
      [3, 1],
    ]);
  });
});
