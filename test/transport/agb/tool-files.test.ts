import { describe, expect, it } from "vitest";
import { parseFileInfo, parseListing } from "../../../src/transport/agb/tool-files.ts";

describe("a listing", () => {
  it.each([
    ["", []],
    ["\n", []],
    ["[DIR] src\n[FILE] package.json", [directory("src"), file("package.json")]],
    [" [DIR] old fixture", [directory("old fixture")]],
    ["[FILE]  leads and trails \n[DIR] [DIR] x", [file(" leads and trails "), directory("[DIR] x")]],
    ["total 2\n[FILE] a\n[LINK] b", [file("a")]],
  ])("%j", (text, children) => {
    expect(parseListing(text)).toEqual(children);
  });

  it.each([["Permission denied"], ["<html>502</html>"], ["{}"], ["[FILE]"], ["total 0"]])(
    "%j is none, and no empty directory (S11)",
    (text) => {
      expect(() => parseListing(text)).toThrow(expect.objectContaining({ code: "BAD_ANSWER", retryable: true }));
    },
  );
});

describe("file details", () => {
  it.each([
    [
      "size: 36\nmodified: 2025-06-10 20:56:39\ncreated: N/A\naccessed: N/A\nisDirectory: false\nisFile: true\npermissions: rw-r--r--",
      { kind: "file", sizeBytes: 36 },
    ],
    ["size: 4096\nisDirectory: true\nisFile: false", { kind: "directory" }],
    ["isDirectory: true", { kind: "directory" }],
    ["size: 0\nisDirectory: false\nisFile: false", { kind: "special" }],
    ["name: a: b\nsize: 5\nisDirectory: false", { kind: "file", sizeBytes: 5 }],
  ])("%j", (text, entry) => {
    expect(parseFileInfo(text)).toEqual(entry);
  });

  it.each([
    [""],
    ["True"],
    ["size: 36"],
    ["size: -1\nisDirectory: false"],
    ["isDirectory: false"],
    ["size: 1e3\nisDirectory: false"],
  ])("%j says neither size nor kind", (text) => {
    expect(() => parseFileInfo(text)).toThrow(expect.objectContaining({ code: "BAD_ANSWER" }));
  });
});

function directory(name: string) {
  return { name, kind: "directory" };
}

function file(name: string) {
  return { name, kind: "file" };
}
