import { join } from "node:path";
import { AgbSyncError } from "../errors.ts";
import { wordsOf } from "../manifest/check-links.ts";
import type { Manifest, TreeSpec } from "../manifest/manifest.ts";
import type { Problem } from "../manifest/manifest-error.ts";
import type { Tree } from "../tree/entry.ts";
import type { LinkFault, OnTheWay } from "../tree/follow-link.ts";
import { linkFault } from "../tree/follow-link.ts";
import type { WorkspacePath } from "../tree/workspace-path.ts";
import { ROOT, STATE_DIRECTORY } from "../tree/workspace-path.ts";

/** A link of a tree that leads out of it. */
export type EscapingLink = { readonly path: WorkspacePath; readonly error: AgbSyncError };

/**
 * Links that lead out through one another, now that all of them are known: a declared one out of root, one of a tree
 * out of that tree (S26). `treeOf`: the tree that a link comes from, if it is not declared.
 */
export function checkTreeLinks(
  tree: Tree,
  treeOf: ReadonlyMap<WorkspacePath, TreeSpec>,
  manifest: Manifest,
): { readonly escaping: readonly EscapingLink[]; readonly problems: readonly Problem[] } {
  const lookUp = (path: WorkspacePath): OnTheWay | undefined => {
    const entry = tree.get(path);
    if (entry?.kind !== "link") return entry?.kind === "special" ? undefined : entry;
    return { kind: "link", target: entry.target ?? "", top: treeOf.get(path)?.path ?? ROOT };
  };
  const escaping: EscapingLink[] = [];
  const problems: Problem[] = [];
  for (const [path, entry] of tree) {
    const link = entry.kind === "link" ? lookUp(path) : undefined;
    const fault = link?.kind === "link" ? linkFault(path, link, lookUp) : undefined;
    if (link?.kind !== "link" || fault === undefined) continue;
    const from = treeOf.get(path);
    if (from === undefined) problems.push(...problemsOf(path, fault, manifest));
    // In a tree, a link that leads in a circle is as good as one to nothing.
    else if (fault.kind !== "circle")
      escaping.push({ path, error: escapeOf(path, link.target, fault, from, manifest) });
  }
  return { escaping, problems };
}

function problemsOf(path: WorkspacePath, fault: LinkFault, { links, file }: Manifest): readonly Problem[] {
  return links
    .filter((link) => link.path === path)
    .map(({ target, targetAt }) => {
      const [message, hint] = wordsOf(target, fault);
      return { code: "BAD_LINK", message, hint, file, ...targetAt, length: target.length, excerpt: "" };
    });
}

function escapeOf(
  path: WorkspacePath,
  target: string,
  fault: LinkFault,
  { source, path: top, at }: TreeSpec,
  { file }: Manifest,
): AgbSyncError {
  const localPath = join(source, top === ROOT ? path : path.slice(top.length + 1));
  const message = `${localPath} is a link to ${target}, which ${wayOf(fault)} (${file}:${at.line})`;
  return new AgbSyncError("SOURCE_ESCAPES", message, { hint: "exclude it, or make it point inside the tree" });
}

function wayOf({ kind, through }: LinkFault): string {
  const by = through === undefined ? "" : ` through ${through}`;
  if (kind === "state") return `leads into ${STATE_DIRECTORY}/${by}`;
  if (kind === "unsure") return `goes up again from ${through ?? ""}, which may be a link in the session`;
  return `leaves its tree${by}`;
}
