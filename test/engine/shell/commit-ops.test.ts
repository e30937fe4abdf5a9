import { expect, it } from "vitest";
import { commitOps } from "../../../src/engine/shell/commit-ops.ts";
import type { Step } from "../../../src/plan/plan.ts";
import { digestOf } from "../../../src/tree/digest.ts";
import { workspacePath } from "../../../src/tree/workspace-path.ts";

const path = workspacePath;
const digest = digestOf(Buffer.from("x"));
const file = { kind: "file", mode: 0o644, sizeBytes: 1, digest } as const;
const directory = { kind: "directory", mode: 0o755 } as const;
const move = (from: string, to: string, held = false, before: typeof file | typeof directory = directory): Step => ({
  op: "move",
  from: path(from),
  to: path(to),
  before,
  held,
});
const remove = (at: string): Step => ({ op: "delete", path: path(at), before: file, backup: false });
const write = (at: string, before?: typeof file): Step => ({
  op: "write",
  path: path(at),
  mode: 0o644,
  sizeBytes: 1,
  digest,
  backup: false,
  sensitive: false,
  ...(before === undefined ? {} : { before }),
});

it.each<{ name: string; steps: readonly Step[]; files?: readonly string[]; absent?: readonly string[] }>([
  { name: "nothing is moved", steps: [remove("a"), write("b"), write("c", file)], files: ["a", "c"], absent: ["b"] },
  {
    name: "it lies below a moved directory",
    steps: [move("a", "b"), remove("b/c/f")],
    files: ["a/c/f"],
    absent: ["b"],
  },
  { name: "it is new there", steps: [move("a", "b"), write("b/f")], absent: ["b", "a/f"] },
  { name: "it is replaced there", steps: [move("a", "b"), write("b/f", file)], files: ["a/f"], absent: ["b"] },
  {
    name: "it was moved itself",
    steps: [move("a", "b", false, file), write("b", file)],
    files: ["a", "a"],
    absent: ["b"],
  },
  {
    name: "two moves follow one another",
    steps: [move("a", "b"), move("b/c", "d"), remove("d/f")],
    files: ["a/c/f"],
    absent: ["b", "d"],
  },
  { name: "a name only begins like another", steps: [move("a", "b"), remove("bb/f")], files: ["bb/f"], absent: ["b"] },
  { name: "its name is taken over later", steps: [remove("b"), move("a", "b", true, file)], files: ["b", "a"] },
  { name: "two files swap", steps: [move("a", "b", true, file), move("b", "a", true, file)], files: ["a", "b"] },
])("looks before the work for what stands where it is then: $name (S20)", ({ steps, files = [], absent = [] }) => {
  const ops = commitOps(
    steps.map((step) => ({ step, after: [] })),
    true,
  );
  expect([ops.files.map((one) => one.path), ops.absent]).toEqual([files, absent]);
});
