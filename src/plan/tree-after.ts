import type { Entry, Tree } from "../tree/entry.ts";
import type { WorkspacePath } from "../tree/workspace-path.ts";
import { isBelow } from "../tree/workspace-path.ts";
import type { Step } from "./plan.ts";
import { movedPath } from "./relocate.ts";

/** The tree once the steps were carried out, in their order. */
export function treeAfter(before: Tree, steps: readonly Step[]): Tree {
  const tree = new Map(before);
  const held = new Map<Step, Entry>();
  for (const step of steps) {
    if (step.op !== "move" || !step.held) continue;
    held.set(step, step.before);
    tree.delete(step.from);
  }
  for (const step of steps) carryOut(step, tree, held.get(step));
  return tree;
}

function carryOut(step: Step, tree: Map<WorkspacePath, Entry>, held: Entry | undefined): void {
  switch (step.op) {
    case "create-directory":
      tree.set(step.path, { kind: "directory", mode: step.mode });
      return;
    case "write":
      tree.set(step.path, { kind: "file", mode: step.mode, sizeBytes: step.sizeBytes, digest: step.digest });
      return;
    case "create-link":
      tree.set(step.path, { kind: "link", target: step.target });
      return;
    case "move": {
      const below = step.before.kind === "directory" ? [...tree].filter(([path]) => isBelow(path, step.from)) : [];
      if (held === undefined) tree.delete(step.from);
      tree.set(step.to, held ?? step.before);
      for (const [path, entry] of below) {
        tree.delete(path);
        tree.set(movedPath(path, step.from, step.to), entry);
      }
      return;
    }
    case "set-mode": {
      const entry = tree.get(step.path);
      if (entry?.kind === "file" || entry?.kind === "directory") tree.set(step.path, { ...entry, mode: step.mode });
      return;
    }
    case "delete": {
      // A directory in which something of others is left stays.
      const isLeft = step.before.kind === "directory" && [...tree.keys()].some((path) => isBelow(path, step.path));
      if (!isLeft) tree.delete(step.path);
      return;
    }
  }
}
