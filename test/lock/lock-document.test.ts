import { describe, expect, it } from "vitest";
import { lockDifferences, updateLock } from "../../src/lock/lock-differences.ts";
import type { LockDocument } from "../../src/lock/lock-document.ts";
import { formatLock, parseLock } from "../../src/lock/lock-document.ts";

const document: LockDocument = {
  version: 1,
  image: "agb",
  root: { variesBy: ["env.ROOT"] },
  entries: [
    { path: "b/c\u2028\u{e0041}", kind: "file", mode: "0644", digest: `sha256:${"0".repeat(64)}` },
    { path: "${env.X}", kind: "file", mode: "0644", digest: `sha256:${"1".repeat(64)}` },
    { path: "b", kind: "directory", mode: "0755" },
    { path: "${env.X}", pathVaries: true, kind: "file", variesBy: ["env.X"] },
  ],
};

describe("a lock file", () => {
  it("is read as it was written, whatever order it was made in, and has one line a path", () => {
    const text = formatLock(document);
    const read = parseLock(text, "lock");
    expect(formatLock(read)).toBe(text);
    expect(formatLock({ ...document, entries: document.entries.toReversed() })).toBe(text);
    expect(lockDifferences(document, read)).toEqual([]);
    expect(text.split(/[\n\r\u2028]/)).toHaveLength(document.entries.length + 9);
    expect(parseLock(text.replaceAll("\n", "\r\n"), "lock")).toEqual(read);
    expect(parseLock(formatLock({ ...document, entries: [] }), "lock").entries).toEqual([]);
  });

  it.each<[string, (text: string) => string, RegExp]>([
    ["a merge conflict", (text) => text.replace("{", "{\n<<<<<<< ours"), /merge conflict/],
    ["another form", (text) => text.replace('"lockVersion": 1', '"lockVersion": 2'), /knows 1 only/],
    ["half of it", (text) => text.slice(0, -40), /not JSON/],
    ["nothing", () => "", /not JSON/],
    ["another kind", (text) => text.replace('"kind":"directory"', '"kind":"song"'), /entry 3 is not one/],
    ["a mode that is a number", (text) => text.replace('"mode":"0755"', '"mode":755'), /entry 3 is not one/],
    ["a path twice", (text) => text.replace('"path":"b"', '"path":"b/c\\u2028\\udb40\\udc41"'), /twice/],
    ["no root", (text) => text.replace('"root"', '"rot"'), /image or root/],
    ["no entries", (text) => text.replace('"entries"', '"entreis"'), /no entries/],
    ["other things", () => "[]", /no object/],
  ])("is refused with %s", (_, damage, message) => {
    expect(() => parseLock(damage(formatLock(document)), "lock")).toThrow(message);
  });

  it("takes the directories that lead to a path that is updated, and nothing else", () => {
    const before: LockDocument = { ...document, entries: [{ path: "z", kind: "file", mode: "0600" }] };
    const updated = updateLock(before, document, ["b/c\u2028\u{e0041}"]);
    expect(updated.entries.map(({ path }) => path)).toEqual(["b", "b/c\u2028\u{e0041}", "z"]);
    expect(updateLock(before, document, ["."]).entries).toHaveLength(4);
  });
});
