import type { LinkFault, OnTheWay } from "../tree/follow-link.ts";
import { linkFault } from "../tree/follow-link.ts";
import type { WorkspacePath } from "../tree/workspace-path.ts";
import { ancestorsOf, isBelow, ROOT, STATE_DIRECTORY } from "../tree/workspace-path.ts";
import type { Declared } from "./declared.ts";
import type { Manifest } from "./manifest.ts";
import type { ManifestSource } from "./manifest-source.ts";
import { quoted } from "./quoted.ts";

/**
 * Reports declared links that lead out of root through one another. What a tree holds is not known yet: links through
 * that are judged when it was read.
 */
export function checkLinks(manifest: Manifest, declared: readonly Declared[], source: ManifestSource): void {
  const known = new Map<WorkspacePath, OnTheWay>();
  for (const { path, kind } of declared) {
    for (const ancestor of ancestorsOf(path)) known.set(ancestor, { kind: "directory" });
    if (kind !== "link") known.set(path, { kind: kind === "file" ? "file" : "directory" });
  }
  const sound = manifest.links.filter((_, index) => source.tree.isSound(["links", index, "target"]));
  for (const { path, target } of sound) known.set(path, { kind: "link", target, top: ROOT });
  manifest.links.forEach(({ path, target }, index) => {
    const keys = ["links", index, "target"];
    if (!source.tree.isSound(keys) || !source.tree.isSound(["links", index, "path"])) return;
    const fault = linkFault(path, { kind: "link", target, top: ROOT }, (other) => known.get(other));
    if (fault === undefined) return;
    const { through } = fault;
    const isOpen = fault.kind === "unsure" && manifest.trees.some((tree) => isBelow(through ?? ROOT, tree.path));
    if (!isOpen) source.report("BAD_LINK", keys, ...wordsOf(target, fault));
  });
}

/** What is wrong with a declared link, and what to write instead. */
export function wordsOf(target: string, { kind, through }: LinkFault): readonly [message: string, hint: string] {
  const by = through === undefined ? "" : ` through ${quoted(through)}`;
  const what = `link target ${quoted(target)}`;
  const inside = "write a target relative to the link, inside root";
  switch (kind) {
    case "leaves":
      return [through === undefined ? `${what} leaves root` : `${what} leads out of root${by}`, inside];
    case "state":
      return [`${what} leads into ${STATE_DIRECTORY}/${by}, which agb-sync keeps for itself`, inside];
    case "circle":
      return [`${what} leads in a circle${by}`, "let one of these links point to something else"];
    case "unsure":
      return [
        `${what} goes up again from ${quoted(through ?? "")}, which may be a link in the session`,
        "write it without `..` after a name, or declare that directory",
      ];
  }
}
