import { realpathSync } from "node:fs";
import { basename, dirname } from "node:path";
import { keyOf } from "../desired/file-version.ts";
import type { SourceDirectory, SourceEntry, SourceWalk } from "../desired/walk-source-tree.ts";
import type { Manifest, TreeSpec } from "../manifest/manifest.ts";
import { digestOf } from "../tree/digest.ts";
import type { WorkspacePath } from "../tree/workspace-path.ts";
import { parentPath } from "../tree/workspace-path.ts";
import { statsOf } from "./file-identity.ts";
import type { Interest } from "./hints.ts";

/** A directory of a tree, and which tree that is. */
export type TreeDirectory = SourceDirectory & { readonly tree: TreeSpec };

/**
 * What to watch: every directory of the trees with all that is in it; and by name the tops of the trees, which may be
 * replaced, single files with what they lead to, and the manifest.
 */
export function placesToWatch(
  manifest: Manifest,
  walks: Iterable<Pick<SourceWalk, "directories">>,
  manifestFile: string | undefined,
): ReadonlyMap<string, Interest> {
  const places = new Map<string, Interest>();
  for (const { directories } of walks) for (const { localPath } of directories) places.set(localPath, "everything");
  const named = new Map<string, Set<string>>();
  for (const path of singlePaths(manifest, manifestFile)) {
    const directory = dirname(path);
    if (!places.has(directory)) named.set(directory, (named.get(directory) ?? new Set()).add(basename(path)));
  }
  return new Map([...places, ...named]);
}

/** Local paths that matter by themselves, links followed too. */
export function singlePaths(manifest: Manifest, manifestFile: string | undefined): ReadonlySet<string> {
  const named = [
    ...manifest.trees.map(({ source }) => source),
    ...manifest.files.flatMap(({ origin }) => (origin.kind === "source" ? [origin.localPath] : [])),
    ...(manifestFile === undefined ? [] : [manifestFile]),
  ];
  return new Set([...named, ...named.flatMap((path) => realPathOf(path) ?? [])]);
}

/** Of each listed directory of a walk, by its place in the workspace, what tells its entries from other ones. */
export function versionsOf(walk: SourceWalk): ReadonlyMap<WorkspacePath, string> {
  const lines = new Map<WorkspacePath, string[]>(walk.directories.map(({ path }) => [path, []]));
  const add = (path: WorkspacePath, version: string) => lines.get(parentPath(path))?.push(`${path}\0${version}`);
  for (const entry of walk.entries) add(entry.path, versionOf(entry));
  for (const path of walk.leftOut) add(path, "left out");
  for (const path of walk.held) add(path, "held");
  return new Map([...lines].map(([path, versions]) => [path, digestOf(versions.join("\n"))]));
}

/** What tells these single files and links from other ones. */
export function versionOfSingles(paths: Iterable<string>): string {
  const versions = [...paths].map((path) => {
    const stats = statsOf(path);
    return `${path}\0${stats === undefined || stats.isDirectory() ? "" : keyOf(stats)}`;
  });
  return digestOf(versions.join("\n"));
}

/** The walk as if nothing but some of its directories had been listed. */
export function restrict(walk: SourceWalk, places: ReadonlySet<WorkspacePath>): SourceWalk {
  const isIn = (path: WorkspacePath) => places.has(parentPath(path));
  return {
    entries: walk.entries.filter(({ path }) => isIn(path)),
    directories: walk.directories.filter(({ path }) => places.has(path)),
    leftOut: walk.leftOut.filter(isIn),
    held: walk.held.filter(isIn),
    unreadable: [],
    warnings: [],
  };
}

function versionOf(entry: SourceEntry): string {
  return entry.kind === "file" ? entry.version.key : entry.kind === "link" ? entry.target : "/";
}

function realPathOf(path: string): string | undefined {
  try {
    return realpathSync(path);
  } catch {
    // Not there now: its directory is watched for its return.
    return undefined;
  }
}
