import type { Desired } from "../desired/desired.ts";
import type { Manifest } from "../manifest/manifest.ts";
import type { Entry } from "../tree/entry.ts";
import { sameContent, sameMode } from "../tree/entry.ts";
import { covers } from "../tree/path-set.ts";
import { treeDigest } from "../tree/tree-digest.ts";
import type { WorkspacePath } from "../tree/workspace-path.ts";
import { ancestorsOf, isBelow, parentPath } from "../tree/workspace-path.ts";

/** What is desired, in maps that later readings of single directories are merged into. */
export type Merged = Omit<Desired, "tree" | "contents" | "policies" | "positions" | "leftOut" | "held"> & {
  readonly tree: Map<WorkspacePath, Entry>;
  readonly contents: Map<Parameters<Desired["contents"]["get"]>[0], MapValue<Desired["contents"]>>;
  readonly policies: Map<WorkspacePath, MapValue<Desired["policies"]>>;
  readonly positions: Map<WorkspacePath, MapValue<Desired["positions"]>>;
  readonly leftOut: Set<WorkspacePath>;
  readonly held: Set<WorkspacePath>;
};

type MapValue<Whole> = Whole extends ReadonlyMap<infer _Key, infer Value> ? Value : never;

/** Contents that nothing desires any more are dropped when there are this many times as many as entries. */
const SPARE_CONTENTS = 2;

export function mergeable(desired: Desired): Merged {
  return {
    ...desired,
    tree: new Map(desired.tree),
    contents: new Map(desired.contents),
    policies: new Map(desired.policies),
    positions: new Map(desired.positions),
    leftOut: new Set(desired.leftOut),
    held: new Set(desired.held),
  };
}

/** Paths that something other than the listing of one tree decides: declared ones and what leads to them. */
export function declaredPaths(manifest: Manifest): ReadonlySet<WorkspacePath> {
  const { files, links, directories, trees } = manifest;
  return new Set([...files, ...links, ...directories, ...trees].flatMap(({ path }) => [path, ...ancestorsOf(path)]));
}

/** Whether one tree lies in another: what a path holds is then decided between the two. */
export function isLayered({ trees }: Manifest): boolean {
  return trees.some(({ path }, index) =>
    trees.some((other, position) => position !== index && (other.path === path || isBelow(other.path, path))),
  );
}

/**
 * Puts the entries of the `listed` directories into `whole` as `part` has them, so that it is what a reading of
 * everything would give. Gives the paths at which it asks for something else now, and `whole` with its new digest;
 * undefined, and nothing is changed, when only a reading of everything can tell.
 */
export function merge(
  whole: Merged,
  part: Desired,
  listed: ReadonlySet<WorkspacePath>,
  declared: ReadonlySet<WorkspacePath>,
): { readonly merged: Merged; readonly changed: ReadonlySet<WorkspacePath> } | undefined {
  if (part.unreadable.length + part.warnings.length > 0) return undefined;
  const isListed = (path: WorkspacePath) => path !== "" && listed.has(parentPath(path));
  const gone = new Set<WorkspacePath>();
  for (const [path, before] of whole.tree) {
    if (!isListed(path)) continue;
    const after = part.tree.get(path);
    if (after !== undefined && (before.kind === "directory") === (after.kind === "directory")) continue;
    if (declared.has(path)) return undefined;
    gone.add(path);
  }
  const found = [...part.tree].filter(([path]) => isListed(path));
  if (found.some(([path, entry]) => declared.has(path) && whole.tree.get(path)?.kind !== entry.kind)) return undefined;
  const changed = new Set<WorkspacePath>();
  if (gone.size > 0) {
    for (const path of whole.tree.keys()) {
      if (!covers(gone, path)) continue;
      changed.add(path);
      for (const map of [whole.tree, whole.policies, whole.positions]) map.delete(path);
    }
  }
  for (const [path, entry] of found) {
    if (declared.has(path)) continue;
    const before = whole.tree.get(path);
    if (before === undefined || !sameContent(before, entry) || !sameMode(before, entry)) changed.add(path);
    whole.tree.set(path, entry);
    copy(path, part.policies, whole.policies);
    copy(path, part.positions, whole.positions);
  }
  const isStale = (path: WorkspacePath) => isListed(path) || covers(gone, path);
  replace(whole.leftOut, part.leftOut, isStale, changed);
  replace(whole.held, part.held, isStale, changed);
  takeContents(whole, part);
  const digest = changed.size === 0 ? whole.digest : treeDigest(whole.tree);
  return { merged: { ...whole, digest }, changed };
}

function copy<Value>(
  path: WorkspacePath,
  from: ReadonlyMap<WorkspacePath, Value>,
  to: Map<WorkspacePath, Value>,
): void {
  const value = from.get(path);
  if (value !== undefined) to.set(path, value);
}

/** What is or is no longer in a set of paths may have to be planned, too. */
function replace(
  set: Set<WorkspacePath>,
  now: ReadonlySet<WorkspacePath>,
  isStale: (path: WorkspacePath) => boolean,
  changed: Set<WorkspacePath>,
): void {
  for (const path of set) {
    if (now.has(path) || !isStale(path)) continue;
    set.delete(path);
    changed.add(path);
  }
  for (const path of now) {
    if (set.has(path)) continue;
    set.add(path);
    changed.add(path);
  }
}

function takeContents(whole: Merged, part: Desired): void {
  for (const [digest, content] of part.contents) {
    // The same bytes may stand in a sensitive and an ordinary file: then they are sensitive.
    if (whole.contents.get(digest)?.sensitive !== true) whole.contents.set(digest, content);
  }
  if (whole.contents.size <= (whole.tree.size + 1000) * SPARE_CONTENTS) return;
  const wanted = new Set([...whole.tree.values()].flatMap((entry) => (entry.kind === "file" ? [entry.digest] : [])));
  for (const digest of whole.contents.keys()) if (!wanted.has(digest)) whole.contents.delete(digest);
}
