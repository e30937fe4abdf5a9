import type { WorkspacePath } from "../tree/workspace-path.ts";
import { ancestorsOf, isBelow } from "../tree/workspace-path.ts";
import { checkIgnored } from "./check-ignored.ts";
import { checkLinks } from "./check-links.ts";
import { checkMoves } from "./check-moves.ts";
import type { Declared } from "./declared.ts";
import { declaredPaths, isContainer, nameOf } from "./declared.ts";
import type { Manifest } from "./manifest.ts";
import type { ManifestSource } from "./manifest-source.ts";

/** Reports what a schema cannot say: paths that are declared twice, or that contradict one another. */
export function checkPaths(manifest: Manifest, source: ManifestSource): void {
  const declared = declaredPaths(manifest, source);
  const leaves = new Map<WorkspacePath, Declared>();
  const firsts = new Map<WorkspacePath, Declared>();
  for (const entry of declared) {
    const first = firsts.get(entry.path);
    // A directory entry may add a mode to a tree or to its place.
    const isRefinement = first !== undefined && first.kind !== entry.kind && isContainer(first) && isContainer(entry);
    if (first !== undefined && !isRefinement) {
      source.report(
        "DUPLICATE_PATH",
        entry.keys,
        `${nameOf(entry.path)} is declared twice, first at line ${first.at.line}`,
        "remove one of the two, or give them different paths",
      );
    }
    firsts.set(entry.path, first ?? entry);
    if (!isContainer(entry)) leaves.set(entry.path, entry);
  }
  for (const entry of declared) {
    for (const ancestor of ancestorsOf(entry.path)) {
      const leaf = leaves.get(ancestor);
      if (leaf === undefined) continue;
      source.report(
        "PATH_CONFLICT",
        entry.keys,
        `${nameOf(entry.path)} lies below ${nameOf(ancestor)}, which is a ${leaf.kind} (line ${leaf.at.line})`,
        "a file or link cannot hold other entries; change one of the two paths",
      );
    }
  }
  checkAbsent(manifest, declared, source);
  checkMoves(manifest, firsts, source);
  checkLinks(manifest, declared, source);
  checkIgnored(manifest, declared, source);
}

function checkAbsent(manifest: Manifest, declared: readonly Declared[], source: ManifestSource): void {
  manifest.absent.forEach(({ path }, index) => {
    const wanted = declared.find((entry) => entry.path === path || isBelow(entry.path, path));
    if (wanted === undefined || !source.tree.isSound(["absent", index])) return;
    source.report(
      "PATH_CONFLICT",
      ["absent", index],
      `${nameOf(path)} is to be absent, but line ${wanted.at.line} declares ${nameOf(wanted.path)}`,
      "remove one of the two",
    );
  });
}
