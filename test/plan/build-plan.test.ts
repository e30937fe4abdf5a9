import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { emptyBase } from "../../src/tree/base.ts";
import type { Tree } from "../../src/tree/entry.ts";
import { treeDigest } from "../../src/tree/tree-digest.ts";
import { anyTree, baseOf, carryOut, directory, file, link, planFor, treeOf } from "../helpers/trees.ts";

const nothing = emptyBase("s", "/w");

function summary(desired: Tree, actual: Tree, base = baseOf(actual), more = {}): string[] {
  return planFor(desired, actual, base, more).plan.steps.map(({ step }) =>
    step.op === "move" ? `${step.held ? "held " : ""}move ${step.from} -> ${step.to}` : `${step.op} ${step.path}`,
  );
}

describe("buildPlan by the table of the README", () => {
  it.each<{ name: string; desired: Tree; actual: Tree; base?: Tree; steps: string[]; conflicts?: string[] }>([
    {
      name: "creates what is missing",
      desired: treeOf({ "d/a": file("1") }),
      actual: treeOf({}),
      steps: ["create-directory d", "write d/a"],
    },
    {
      name: "writes what it wrote before",
      desired: treeOf({ a: file("2") }),
      actual: treeOf({ a: file("1") }),
      base: treeOf({ a: file("1") }),
      steps: ["write a"],
    },
    {
      name: "leaves drifted bytes alone (S8)",
      desired: treeOf({ a: file("3") }),
      actual: treeOf({ a: file("2") }),
      base: treeOf({ a: file("1") }),
      steps: [],
      conflicts: ["a"],
    },
    {
      name: "leaves unmanaged bytes alone (S8)",
      desired: treeOf({ a: file("3") }),
      actual: treeOf({ a: file("2") }),
      base: treeOf({}),
      steps: [],
      conflicts: ["a"],
    },
    {
      name: "accepts an edit to the same (S21)",
      desired: treeOf({ a: file("2") }),
      actual: treeOf({ a: file("2") }),
      base: treeOf({ a: file("1") }),
      steps: [],
    },
    {
      name: "deletes what it wrote",
      desired: treeOf({}),
      actual: treeOf({ a: file("1") }),
      base: treeOf({ a: file("1") }),
      steps: ["delete a"],
    },
    {
      name: "does not delete what was changed (S9)",
      desired: treeOf({}),
      actual: treeOf({ a: file("2") }),
      base: treeOf({ a: file("1") }),
      steps: [],
      conflicts: ["a"],
    },
    {
      name: "does not touch what is unmanaged",
      desired: treeOf({}),
      actual: treeOf({ a: file("2") }),
      base: treeOf({}),
      steps: [],
    },
    {
      name: "keeps a directory that holds unmanaged files (S10)",
      desired: treeOf({}),
      actual: treeOf({ "d/a": file("1"), "d/x": file("9") }),
      base: treeOf({ "d/a": file("1") }),
      steps: ["delete d/a"],
    },
    {
      name: "only changes a mode",
      desired: treeOf({ a: file("1", 0o755) }),
      actual: treeOf({ a: file("1") }),
      base: treeOf({}),
      steps: ["set-mode a"],
    },
    {
      name: "moves instead of delete and write",
      desired: treeOf({ "n/b": file("1") }),
      actual: treeOf({ a: file("1") }),
      base: treeOf({ a: file("1") }),
      steps: ["create-directory n", "move a -> n/b"],
    },
    {
      name: "swaps",
      desired: treeOf({ a: file("2"), b: file("1") }),
      actual: treeOf({ a: file("1"), b: file("2") }),
      base: treeOf({ a: file("1"), b: file("2") }),
      steps: ["held move b -> a", "held move a -> b"],
    },
    {
      name: "chains",
      desired: treeOf({ b: file("1"), c: file("2") }),
      actual: treeOf({ a: file("1"), b: file("2") }),
      base: treeOf({ a: file("1"), b: file("2") }),
      steps: ["held move a -> b", "held move b -> c"],
    },
    {
      name: "turns a file into a directory",
      desired: treeOf({ "a/b": file("2") }),
      actual: treeOf({ a: file("1") }),
      base: treeOf({ a: file("1") }),
      steps: ["delete a", "create-directory a", "write a/b"],
    },
    {
      name: "turns a directory into a file",
      desired: treeOf({ a: file("2") }),
      actual: treeOf({ "a/b": file("1") }),
      base: treeOf({ "a/b": file("1") }),
      steps: ["delete a/b", "delete a", "write a"],
    },
    {
      name: "moves a file into the directory of its name",
      desired: treeOf({ "a/b": file("1") }),
      actual: treeOf({ a: file("1") }),
      base: treeOf({ a: file("1") }),
      steps: ["create-directory a", "held move a -> a/b"],
    },
    {
      name: "does not replace a directory with foreign files",
      desired: treeOf({ a: file("2") }),
      actual: treeOf({ "a/b": file("1") }),
      base: treeOf({ a: directory }),
      steps: [],
      conflicts: ["a"],
    },
    {
      name: "replaces a link it made",
      desired: treeOf({ a: link("y") }),
      actual: treeOf({ a: link("x") }),
      base: treeOf({ a: link("x") }),
      steps: ["create-link a"],
    },
  ])("$name", ({ desired, actual, base, steps, conflicts = [] }) => {
    const known = base === undefined ? nothing : baseOf(base);
    expect(summary(desired, actual, known)).toEqual(steps);
    expect(planFor(desired, actual, known).plan.conflicts.map(({ path }) => path)).toEqual(conflicts);
  });

  it("backs up what --on-conflict overwrite replaces (S19)", () => {
    const { plan } = planFor(treeOf({ a: file("2") }), treeOf({ a: file("1") }), nothing, { onConflict: "overwrite" });
    expect(plan.steps.map(({ step }) => step)).toMatchObject([{ op: "write", path: "a", backup: true }]);
  });

  it("keeps the session's version once and asks again when the source changes", () => {
    const actual = treeOf({ a: file("theirs") });
    const first = planFor(treeOf({ a: file("ours") }), actual, nothing, { onConflict: "keep" });
    expect(first.plan.kept).toEqual(["a"]);
    const base = {
      ...nothing,
      entries: new Map(first.baseChanges.flatMap(({ path, after }) => (after ? [[path, after] as const] : []))),
    };
    expect(planFor(treeOf({ a: file("ours") }), actual, base).plan.conflicts).toEqual([]);
    expect(planFor(treeOf({ a: file("newer") }), actual, base).plan.conflicts).toHaveLength(1);
  });

  it("prunes unmanaged entries only below prune: all, with a backup", () => {
    const actual = treeOf({ "p/x": file("9"), y: file("8") });
    const { plan } = planFor(treeOf({ p: directory }), actual, nothing, {
      pruneRule: (path) => (path.startsWith("p/") ? "all" : "managed"),
    });
    expect(plan.steps.map(({ step }) => step)).toMatchObject([{ op: "delete", path: "p/x", backup: true }]);
  });

  it("does declared moves once, whole directories too", () => {
    const before = treeOf({ "old/x": file("1"), "old/mine": file("9") });
    const desired = treeOf({ "new/x": file("1") });
    const moves = [{ from: "old", to: "new", at: { line: 1, column: 1 } }] as never;
    const { plan } = planFor(desired, before, baseOf(treeOf({ "old/x": file("1") })), { moves });
    const after = carryOut(plan.steps, before);
    expect([...after.keys()].toSorted()).toEqual(["new", "new/mine", "new/x"]);
    expect(planFor(desired, after, baseOf(treeOf({ "new/x": file("1") })), { moves }).plan.steps).toEqual([]);
  });
});

describe("buildPlan laws", () => {
  it("carried out on what it wrote, a plan gives the desired tree and the next plan is empty (S5)", () => {
    fc.assert(
      fc.property(anyTree, anyTree, fc.boolean(), (desired, actual, detectMoves) => {
        const { plan } = planFor(desired, actual, baseOf(actual), { detectMoves });
        const after = carryOut(plan.steps, actual);
        expect(treeDigest(after)).toBe(treeDigest(desired));
        expect(planFor(desired, after, baseOf(after)).plan.steps).toEqual([]);
      }),
      { numRuns: 1000 },
    );
  });

  it("never removes or replaces bytes that base does not know (S8, S17)", () => {
    fc.assert(
      fc.property(anyTree, anyTree, anyTree, (desired, actual, known) => {
        const { plan } = planFor(desired, actual, baseOf(known));
        const after = carryOut(plan.steps, actual);
        const digests = new Set([...after.values()].map((entry) => JSON.stringify({ ...entry, mode: 0 })));
        for (const [path, entry] of actual) {
          const before = known.get(path);
          if (entry.kind !== "file" || (before?.kind === "file" && before.digest === entry.digest)) continue;
          expect(after.get(path)).toMatchObject({ kind: "file", digest: entry.digest });
          expect(digests.has(JSON.stringify({ ...entry, mode: 0 }))).toBe(true);
        }
      }),
      { numRuns: 1000 },
    );
  });

  it("gives the same bytes for the same trees in any order (S37)", () => {
    fc.assert(
      fc.property(anyTree, anyTree, (desired, actual) => {
        const reversed = (tree: Tree): Tree => new Map([...tree].toReversed());
        const one = planFor(desired, actual, baseOf(actual)).plan;
        const other = planFor(reversed(desired), reversed(actual), baseOf(reversed(actual))).plan;
        expect(JSON.stringify(other)).toBe(JSON.stringify(one));
      }),
    );
  });
});
