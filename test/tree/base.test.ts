import { describe, expect, it } from "vitest";
import type { Base, BaseEntry } from "../../src/tree/base.ts";
import { emptyBase, formatBase, parseBase } from "../../src/tree/base.ts";
import { digestOf } from "../../src/tree/digest.ts";
import type { WorkspacePath } from "../../src/tree/workspace-path.ts";
import { workspacePath } from "../../src/tree/workspace-path.ts";

const file = (text: string): BaseEntry => ({
  entry: { kind: "file", mode: 0o644, sizeBytes: text.length, digest: digestOf(text) },
});
const base: Base = {
  ...emptyBase("s", "/tmp/workspace"),
  generation: 7,
  desiredDigest: digestOf("desired"),
  isGuarded: true,
  owed: ["0123456789abcdef.fedcba9876543210"],
  entries: new Map<WorkspacePath, BaseEntry>([
    [workspacePath("a"), file("1")],
    [workspacePath("b"), { ...file("2"), keptOver: digestOf("3"), sensitive: true, heldBack: true }],
    [workspacePath("c"), { entry: { kind: "link", target: "a" } }],
    [workspacePath("d"), { entry: { kind: "directory", mode: 0o750 } }],
    [workspacePath("e"), { ...file("4"), heldBack: true }],
  ]),
};
const text = formatBase(base);
const lines = text.split("\n");

describe("base as it is stored", () => {
  it("says the same when it is read", () => {
    expect(parseBase(text, "s", "/tmp/workspace")).toEqual(base);
  });

  it.each<[string, string, string]>([
    ["another session", text.replace('"sessionId":"s"', '"sessionId":"t"'), "another session"],
    ["another root", text.replace('"root":"/tmp/workspace"', '"root":"/tmp/other"'), "another root"],
    ["a root above", text.replace('"root":"/tmp/workspace"', '"root":"/tmp"'), "another root"],
    ["a newer version", text.replace('"version":1', '"version":2'), "another version"],
    ["no version", text.replace('"version":1,', ""), "another version"],
  ])("of %s knows nothing (S17, S31)", (_what, stored, fault) => {
    expect(parseBase(stored, "s", "/tmp/workspace")).toEqual({ fault: expect.stringContaining(fault) });
  });

  it.each<[string, string]>([
    ["that lacks a line", lines.toSpliced(2, 1).join("\n")],
    ["that lacks its last line", `${lines.slice(0, -2).join("\n")}\n`],
    ["that has a line twice", lines.toSpliced(2, 0, lines[1] ?? "").join("\n")],
    ["whose last line has no end", text.slice(0, -1)],
    ["whose last line is cut", text.slice(0, -9)],
    ["that is its header alone", `${lines[0]}\n`],
    ["without a header", lines.slice(1).join("\n")],
    ["whose generation is none", text.replace('"generation":7', '"generation":7.5')],
    ["with a kind that nobody knows", text.replace('"c","l"', '"c","x"')],
    [
      "with a digest that is none",
      text
        .replace("sha256:", "sha257:")
        .replaceAll('"sha256', '"sha256')
        .replace('"f",420,1,"sha256:', '"f",420,1,"sha256-'),
    ],
    ["with a path that leads out", text.replace('["c"', '["../c"')],
    ["with two records in one line", text.replace('\n["c"', ',["c"')],
    ["of nothing", ""],
    ["of another program", "{}\n"],
  ])("%s knows nothing (S31)", (_what, stored) => {
    expect(parseBase(stored, "s", "/tmp/workspace")).toEqual({ fault: expect.any(String) });
  });
});
