import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { suggest } from "../../src/manifest/suggest.ts";

const words = ["version", "session", "root", "vars", "files", "links", "command", "sensitive"];

describe("a suggestion", () => {
  it.each([
    ["versoin", "version"],
    ["flies", "files"],
    ["FILES", "files"],
    ["rooot", "root"],
    ["var", "vars"],
    ["comand", "command"],
    ["sensitve", "sensitive"],
    ["senstive", "sensitive"],
    ["sessions", "session"],
    ["x", undefined],
    ["", undefined],
    ["directories", undefined],
    ["s".repeat(65), undefined],
  ])("for %j is %j", (text, word) => {
    expect(suggest(text, words)).toBe(word);
  });

  it("is the nearest word, and the first of several", () => {
    expect(suggest("abcd", ["abxy", "abcx", "abcy"])).toBe("abcx");
    expect(suggest("abc", [])).toBeUndefined();
  });

  it("finds any word in which one letter is wrong, missing, doubled or swapped", () => {
    const mistakes = [
      (word: string, at: number) => `${word.slice(0, at)}#${word.slice(at + 1)}`,
      (word: string, at: number) => `${word.slice(0, at)}${word.slice(at + 1)}`,
      (word: string, at: number) => `${word.slice(0, at)}${word.charAt(at)}${word.slice(at)}`,
      (word: string, at: number) => `${word.slice(0, at)}${word.charAt(at + 1)}${word.charAt(at)}${word.slice(at + 2)}`,
    ];
    const property = fc.property(
      fc.constantFrom(...words),
      fc.nat(),
      fc.constantFrom(...mistakes),
      (word, at, mistake) => {
        expect(suggest(mistake(word, at % (word.length - 1)), words)).toBe(word);
      },
    );
    expect(() => fc.assert(property)).not.toThrow();
  });
});
