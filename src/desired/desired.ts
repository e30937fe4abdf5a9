import type { AgbSyncError } from "../errors.ts";
import type { Position } from "../manifest/manifest.ts";
import type { PathPolicy, PruneScope } from "../manifest/policy.ts";
import type { Content } from "../tree/content.ts";
import type { Digest } from "../tree/digest.ts";
import type { Tree } from "../tree/entry.ts";
import type { PathSet } from "../tree/path-set.ts";
import type { WorkspacePath } from "../tree/workspace-path.ts";

/** A tree whose source brings no file; `missing` when it is not there at all. */
export type EmptyTree = {
  readonly source: string;
  readonly path: WorkspacePath;
  readonly missing?: AgbSyncError;
};

/** What the manifest and its local sources ask for: the desired tree, the bytes behind it, and the rules that hold there. */
export type Desired = {
  readonly tree: Tree;
  readonly contents: ReadonlyMap<Digest, Content>;
  /** treeDigest(tree) */
  readonly digest: Digest;
  /** For every path of `tree`, implicit parent directories too. */
  readonly policies: ReadonlyMap<WorkspacePath, PathPolicy>;
  /** Where in the manifest each path comes from. */
  readonly positions: ReadonlyMap<WorkspacePath, Position>;
  readonly pruneScopes: readonly PruneScope[];
  /** Tree sources that bring no file (S12). */
  readonly emptyTrees: readonly EmptyTree[];
  /** Local paths that could not be read: all deletions of the run are off (S13). */
  readonly unreadable: readonly string[];
  /** Where entries stand that need the id of a session; empty but in checks without one, where `digest` then means little. */
  readonly waiting: readonly Position[];
  /** What templates take from the machine or the session, by the path of the file that they become: `env.X`. */
  readonly varying: ReadonlyMap<WorkspacePath, readonly string[]>;
  readonly warnings: readonly string[];
  /** What `exclude` and `.gitignore` files left out, directories with all that is in them: not ours to delete (W25). */
  readonly leftOut: PathSet;
  /** What is held back: it stays as the session has it, unless `tree` holds it all the same. Empty but in watch. */
  readonly held: PathSet;
};
