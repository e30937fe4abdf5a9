import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decodeText } from "../../src/manifest/decode-text.ts";
import { ManifestError } from "../../src/manifest/manifest-error.ts";
import { problemsOf } from "./problems-of.ts";

describe("bytes as text", () => {
  it.each([
    [
      "Latin-1",
      Buffer.from("a: b\nc: caf\xe9\n", "latin1"),
      "f:2:7: this is not UTF-8 text (NOT_TEXT)\n  save it as UTF-8",
    ],
    [
      "UTF-16",
      Buffer.from("\ufeffversion: 1\n", "utf16le"),
      "f:1:1: this is UTF-16, not UTF-8 text (NOT_TEXT)\n  save it as UTF-8",
    ],
    ["UTF-16, the other way", Buffer.from([0xfe, 0xff, 0, 0x61]), expect.stringContaining("this is UTF-16")],
    [
      "a picture",
      Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]),
      expect.stringMatching(/^f:1:1: this is not/),
    ],
    [
      "a character that is cut off",
      Buffer.from("a\n\u00e9").subarray(0, 3),
      expect.stringMatching(/^f:2:1: this is not/),
    ],
    ["half of a surrogate pair", Buffer.from([0x61, 0xed, 0xa0, 0x80]), expect.stringMatching(/^f:1:2: this is not/)],
  ])("are refused: %s", (_name, bytes, message) => {
    expect(() => decodeText(bytes, "f")).toThrow(expect.objectContaining({ message, code: "MANIFEST_INVALID" }));
  });

  it("are taken as they are when they are UTF-8", () => {
    const property = fc.property(fc.string({ unit: "grapheme" }), fc.boolean(), (text, hasMark) => {
      const marked = `${hasMark ? "\ufeff" : ""}${text.toWellFormed()}`;
      expect(decodeText(Buffer.from(marked), "f")).toBe(marked);
    });
    expect(() => fc.assert(property)).not.toThrow();
  });

  it("end in text or a ManifestError", () => {
    const property = fc.property(fc.uint8Array(), (bytes) => {
      try {
        expect(Buffer.from(decodeText(bytes, "f"))).toEqual(Buffer.from(bytes));
      } catch (error) {
        if (!(error instanceof ManifestError)) throw error;
      }
    });
    expect(() => fc.assert(property)).not.toThrow();
  });
});

describe("a manifest", () => {
  it("may begin with a byte order mark, which moves no column", () => {
    expect(problemsOf("\ufeffroot: /tmp/w\nversion: 1\n")).toEqual([]);
    expect(problemsOf("\ufeffrooot: /tmp/w\nversion: 1\n")).toEqual([
      "1:1 UNKNOWN_KEY unknown key `rooot` | did you mean `root`?",
    ]);
  });

  it("holds no NUL character, as UTF-16 without a mark does", () => {
    const text = Buffer.from("version: 1\nroot: /tmp/w\n", "utf16le").toString("utf8");
    expect(problemsOf(text)).toEqual([
      "1:2 NOT_TEXT the manifest holds a NUL character and is not UTF-8 text | save it as UTF-8",
    ]);
    expect(problemsOf("version: 1\nroot: /tmp/w\n# \0\n")).toEqual([
      "3:3 NOT_TEXT the manifest holds a NUL character and is not UTF-8 text | save it as UTF-8",
    ]);
  });
});
