import fc from "fast-check";

import type { PlanInput } from "../../src/plan/build-plan.ts";
import { buildPlan } from "../../src/plan/build-plan.ts";
import type { PlannedStep, Step } from "../../src/plan/plan.ts";
import type { Base, BaseEntry } from "../../src/tree/base.ts";
import { emptyBase } from "../../src/tree/base.ts";
import { digestOf } from "../../src/tree/digest.ts";
import type { Entry, Tree } from "../../src/tree/entry.ts";
import { treeDigest } from "../../src/tree/tree-digest.ts";
import type { WorkspacePath } from "../../src/tree/workspace-path.ts";
import { ancestorsOf, isBelow, parentPath, workspacePath } from "../../src/tree/workspace-path.ts";

/** A file entry that holds `text`. */
export function file(text: string, mode = 0o644): Entry {
  return { kind: "file", mode, sizeBytes: Buffer.byteLength(text), digest: digestOf(text) };
}

export const directory: Entry = { kind: "directory", mode: 0o755 };

export function link(target: string): Entry {
  return { kind: "link", target };
}

/** A tree from plain paths; missing parent directories are filled in. */
export function treeOf(entries: Readonly<Record<string, Entry>>): Tree {
  const tree = new Map<WorkspacePath, Entry>();
  for (const [text, entry] of Object.entries(entries)) {
    const path = workspacePath(text);
    for (const ancestor of ancestorsOf(path)) if (!tree.has(ancestor)) tree.set(ancestor, directory);
    tree.set(path, entry);
  }
  return tree;
}

export function baseOf(tree: Tree): Base {
  const entries = new Map<WorkspacePath, BaseEntry>([...tree].map(([path, entry]) => [path, { entry }]));
  return { ...emptyBase("s", "/w"), generation: 1, entries };
}

/** Everything a plan needs, with the defaults of a manifest that says nothing. */
export function planInput(desired: Tree, actual: Tree, base: Base, more: Partial<PlanInput> = {}): PlanInput {
  return {
    desired,
    actual,
    base,
    policies: new Map(),
    absent: [],
    onConflict: "skip",
    pruneRule: () => "managed",
    isIgnored: () => false,
    sessionId: "s",
    root: "/w",
    moves: [],
    desiredDigest: treeDigest(desired),
    detectMoves: true,
    mayDelete: () => true,
    unsupported: () => undefined,
    warnings: [],
    ...more,
  };
}

export function planFor(desired: Tree, actual: Tree, base: Base, more: Partial<PlanInput> = {}) {
  return buildPlan(planInput(desired, actual, base, more));
}

/** What steps do to a tree, in memory: held moves first, then in order. Throws where a real session would refuse. */
export function carryOut(steps: readonly PlannedStep[], actual: Tree): Tree {
  const tree = new Map(actual);
  const held = new Map<Step, Entry>();
  const takeOut = (path: WorkspacePath) => {
    const entry = tree.get(path);
    if (entry === undefined) throw new Error(`${path} is not there`);
    tree.delete(path);
    return entry;
  };
  const put = (path: WorkspacePath, entry: Entry) => {
    const parent = parentPath(path);
    if (parent !== "" && tree.get(parent)?.kind !== "directory") throw new Error(`${path} has no parent directory`);
    if (tree.has(path)) throw new Error(`${path} is taken`);
    tree.set(path, entry);
  };
  for (const { step } of steps) if (step.op === "move" && step.held) held.set(step, takeOut(step.from));
  steps.forEach(({ step, after }, index) => {
    if (after.some((other) => other >= index)) throw new Error(`step ${index} waits for a later one`);
    switch (step.op) {
      case "create-directory":
        put(step.path, { kind: "directory", mode: step.mode });
        break;
      case "write":
        if (step.before !== undefined) takeOut(step.path);
        put(step.path, { kind: "file", mode: step.mode, sizeBytes: step.sizeBytes, digest: step.digest });
        break;
      case "create-link":
        if (step.before !== undefined) takeOut(step.path);
        put(step.path, { kind: "link", target: step.target });
        break;
      case "move": {
        const below = [...tree].filter(([path]) => step.before.kind === "directory" && isBelow(path, step.from));
        put(step.to, held.get(step) ?? takeOut(step.from));
        for (const [path, entry] of below) {
          tree.delete(path);
          tree.set(workspacePath(`${step.to}${path.slice(step.from.length)}`), entry);
        }
        break;
      }
      case "set-mode": {
        const entry = takeOut(step.path);
        put(step.path, entry.kind === "file" || entry.kind === "directory" ? { ...entry, mode: step.mode } : entry);
        break;
      }
      case "delete":
        if ([...tree.keys()].some((path) => isBelow(path, step.path))) throw new Error(`${step.path} is not empty`);
        takeOut(step.path);
        break;
    }
  });
  return tree;
}

const names = fc.constantFrom("a", "b", "c", "d e", "ä", "-x");
const leaves: fc.Arbitrary<Entry> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc
      .tuple(fc.constantFrom("", "1", "22", "333"), fc.constantFrom(0o644, 0o755))
      .map(([text, mode]) => file(text, mode)),
  },
  { weight: 1, arbitrary: fc.constantFrom("a", "b/c").map(link) },
  { weight: 1, arbitrary: fc.constant(directory) },
);

/** Small trees over few names and few contents, so that collisions, moves and kind changes are common. */
export const anyTree: fc.Arbitrary<Tree> = fc
  .array(fc.tuple(fc.array(names, { minLength: 1, maxLength: 3 }), leaves), { maxLength: 9 })
  .map((entries) => {
    const tree = new Map<WorkspacePath, Entry>();
    for (const [parts, entry] of entries) {
      const path = workspacePath(parts.join("/"));
      const isBlocked = ancestorsOf(path).some((ancestor) => (tree.get(ancestor)?.kind ?? "directory") !== "directory");
      if (isBlocked || tree.has(path)) continue;
      for (const ancestor of ancestorsOf(path)) tree.set(ancestor, directory);
      tree.set(path, entry);
    }
    return tree;
  });
