import { execFileSync } from "node:child_process";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { quoteForShell } from "../../src/transport/shell-quote.ts";

const piece = fc.oneof(
  fc.constantFrom(
    "'",
    '"',
    "\\",
    "$(id)",
    "`id`",
    "$HOME",
    "*",
    "?",
    "[a]",
    "~",
    "-rf",
    "--",
    "#",
    "!",
    "&",
    ";",
    "|",
    "\n",
    "\r",
    "\t",
    " ",
    "=",
    "{a,b}",
    "ä",
    "😀",
    "%s",
    "\\n",
    "!!",
  ),
  fc.string({ unit: "binary", maxLength: 5 }),
);
const anyWord = fc
  .array(piece, { maxLength: 6 })
  .map((parts) => parts.join("").replaceAll("\0", ""))
  .filter((text) => text.isWellFormed());

/** The words that a real shell makes of a command's arguments. */
function wordsOf(shell: string, words: readonly string[]): readonly string[] {
  const command = `for w in ${words.map(quoteForShell).join(" ")}; do printf '%s\\0' "$w"; done`;
  return execFileSync(shell, ["-c", command], { encoding: "utf8" }).split("\0").slice(0, -1);
}

describe("a quoted word", () => {
  it.each([["sh"], ["bash"]])("is exactly its characters to %s", (shell) => {
    const property = fc.property(fc.array(anyWord, { minLength: 1, maxLength: 20 }), (words) => {
      expect(wordsOf(shell, words)).toEqual(words);
    });
    fc.assert(property, { numRuns: 60 });
  });

  it.each([
    ["plain/path-1.txt", "plain/path-1.txt"],
    ["", "''"],
    ["a b", "'a b'"],
    ["it's", "'it'\\''s'"],
    ["~", "'~'"],
    ["a=b", "'a=b'"],
  ])("%j is written %s", (text, quoted) => {
    expect(quoteForShell(text)).toBe(quoted);
  });

  it.each([["a\0b"], ["\ud83d"], ["a\ude00"]])("cannot be %j", (text) => {
    expect(() => quoteForShell(text)).toThrow(expect.objectContaining({ code: "INTERNAL" }));
  });
});
