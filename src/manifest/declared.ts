import type { WorkspacePath } from "../tree/workspace-path.ts";
import { ROOT } from "../tree/workspace-path.ts";
import type { Manifest, Position } from "./manifest.ts";
import type { ManifestSource } from "./manifest-source.ts";
import type { Keys } from "./manifest-tree.ts";
import { quoted } from "./quoted.ts";

/** A path that an entry of the manifest gives something to hold. */
export type Declared = {
  readonly path: WorkspacePath;
  readonly kind: "directory" | "file" | "tree" | "link";
  /** Where its path stands in the manifest. */
  readonly keys: Keys;
  readonly at: Position;
};

/** Every declared path that is sound, in the order of the text. */
export function declaredPaths(
  { directories, files, trees, links }: Manifest,
  source: ManifestSource,
): readonly Declared[] {
  const entries = (kind: Declared["kind"], section: string, specs: readonly Pick<Declared, "path" | "at">[]) =>
    specs.map(({ path, at }, index): Declared => ({ path, at, kind, keys: [section, index, "path"] }));
  return [
    ...entries("directory", "directories", directories),
    ...entries("file", "files", files),
    ...entries("tree", "trees", trees),
    ...entries("link", "links", links),
  ]
    .filter(({ keys }) => source.tree.isSound(keys))
    .toSorted((one, other) => one.at.line - other.at.line || one.at.column - other.at.column);
}

/** True for what can hold other entries. */
export function isContainer({ kind }: Declared): boolean {
  return kind === "directory" || kind === "tree";
}

/** A path as messages name it. */
export function nameOf(path: WorkspacePath): string {
  return path === ROOT ? "the root" : quoted(path);
}
