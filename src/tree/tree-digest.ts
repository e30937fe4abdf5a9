import type { Digest } from "./digest.ts";
import { digestOf, hexOf } from "./digest.ts";
import type { Entry, Tree } from "./entry.ts";
import type { WorkspacePath } from "./workspace-path.ts";
import { baseName, comparePaths, parentPath, ROOT } from "./workspace-path.ts";

/**
 * One digest for a whole tree: the same paths, modes, targets and bytes give the same digest, in any order. A Merkle
 * digest that others can compute: schemas/workspace-digest.md.
 */
export function treeDigest(tree: Tree): Digest {
  const children = new Map<WorkspacePath, { readonly name: string; readonly path: WorkspacePath }[]>();
  const place = (path: WorkspacePath) => {
    const parent = parentPath(path);
    const siblings = children.get(parent);
    if (siblings !== undefined) siblings.push({ name: baseName(path), path });
    else {
      children.set(parent, [{ name: baseName(path), path }]);
      // A directory that is not in the tree itself is there all the same.
      if (parent !== ROOT && !tree.has(parent)) place(parent);
    }
  };
  for (const path of tree.keys()) place(path);
  const digestBelow = (directory: WorkspacePath): Digest => {
    const lines = (children.get(directory) ?? [])
      .toSorted((one, other) => comparePaths(one.name, other.name))
      .map(({ name, path }) => `${identityOf(tree.get(path), () => digestBelow(path))} ${name}\0`);
    return digestOf(lines.join(""));
  };
  return digestBelow(ROOT);
}

/** Kind, mode and digest; `-` for what is not known. */
function identityOf(entry: Entry | undefined, digestBelow: () => Digest): string {
  switch (entry?.kind) {
    case "file":
      return `f ${modeText(entry.mode)} ${entry.digest === undefined ? "-" : hexOf(entry.digest)}`;
    case "link":
      return `l - ${entry.target === undefined ? "-" : hexOf(digestOf(entry.target))}`;
    case "special":
      return "s - -";
    case "directory":
    case undefined:
      return `d ${modeText(entry?.mode)} ${hexOf(digestBelow())}`;
  }
}

function modeText(mode: number | undefined): string {
  return mode === undefined ? "-" : mode.toString(8).padStart(4, "0");
}
