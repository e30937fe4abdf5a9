import { describe, expect, it } from "vitest";
import { detectMoves } from "../../src/plan/detect-moves.ts";
import type { Change } from "../../src/plan/diff-trees.ts";
import { digestOf } from "../../src/tree/digest.ts";
import type { Entry } from "../../src/tree/entry.ts";
import { workspacePath } from "../../src/tree/workspace-path.ts";

const file = (text: string): Entry => ({ kind: "file", mode: 0o644, sizeBytes: text.length, digest: digestOf(text) });
type Files = Readonly<Record<string, string>>;
const tree = (files: Files) => new Map(Object.entries(files).map(([path, text]) => [workspacePath(path), file(text)]));

/** The moves from one tree to the other, as `from to`, a held one with a mark; `foreign`: paths with others' bytes. */
function moves(actual: Files, desired: Files, foreign: readonly string[] = []): readonly string[] {
  const paths = [...new Set([...Object.keys(actual), ...Object.keys(desired)])].toSorted();
  const [before, after] = [tree(actual), tree(desired)];
  const changes = paths.flatMap((text): Change[] => {
    const path = workspacePath(text);
    if (actual[text] === desired[text]) return [];
    return [{ path, before: before.get(path), after: after.get(path), foreign: foreign.includes(text) }];
  });
  return detectMoves(changes, after, before).map(({ from, to, held }) => `${from} ${to}${held ? " held" : ""}`);
}

describe("moves", () => {
  it.each<[string, Files, Files, readonly string[], readonly string[]]>([
    ["a file that goes and comes", { a: "1" }, { b: "1" }, [], ["a b"]],
    ["not somebody's bytes that go (S8)", { a: "1" }, { b: "1" }, ["a"], []],
    ["not onto somebody's bytes (S8)", { a: "1", b: "2" }, { b: "1" }, ["b"], []],
    ["not bytes that stay", { a: "1" }, { a: "1", b: "1" }, [], []],
    ["nothing that is empty", { a: "" }, { b: "" }, [], []],
    ["not onto a file that is replaced and does not go", { a: "1", b: "2" }, { b: "1" }, [], []],
    ["a swap, both set aside first (W12)", { a: "1", b: "2" }, { a: "2", b: "1" }, [], ["b a held", "a b held"]],
    ["a chain (W12)", { a: "1", b: "2" }, { b: "1", c: "2" }, [], ["a b held", "b c held"]],
    ["the one of the same name before another", { "a/x": "1", "b/y": "1" }, { "c/y": "1" }, [], ["b/y c/y"]],
    ["each once", { a: "1" }, { b: "1", c: "1" }, [], ["a b"]],
    ["a file below where it was (S3)", { a: "1" }, { "a/b": "1" }, [], ["a a/b held"]],
  ])("are %s", (_what, actual, desired, foreign, found) => {
    expect(moves(actual, desired, foreign).toSorted()).toEqual(found.toSorted());
  });
});
