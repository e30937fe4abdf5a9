import { basename, dirname, join } from "node:path";
import type { Desired } from "../desired/desired.ts";
import { lockFileOf } from "../desired/lock-file-of.ts";
import { isGone } from "../desired/look-at-source.ts";
import type { OwnDirectories } from "../desired/own-directories.ts";
import { identitiesOf } from "../desired/own-directories.ts";
import { HOLDS_KEY, readSources } from "../desired/read-sources.ts";
import { SourceCache } from "../desired/source-cache.ts";
import type { SourceWalk, WalkOnly } from "../desired/walk-source-tree.ts";
import { walkSourceTree } from "../desired/walk-source-tree.ts";
import { AgbSyncError, hasCode } from "../errors.ts";
import { ignoreMatcher } from "../manifest/ignore-matcher.ts";
import type { Manifest, TreeSpec } from "../manifest/manifest.ts";
import type { WorkspacePath } from "../tree/workspace-path.ts";
import { childPath, isBelow, parentPath } from "../tree/workspace-path.ts";
import type { HeldSources } from "./held-sources.ts";
import type { Hints, Places } from "./hints.ts";
import type { Merged } from "./merge-desired.ts";
import { declaredPaths, isLayered, merge, mergeable } from "./merge-desired.ts";
import { PinnedSources } from "./pinned-sources.ts";
import type { TreeDirectory } from "./watched-places.ts";
import { placesToWatch, restrict, singlePaths, versionOfSingles, versionsOf } from "./watched-places.ts";

/** Directories can appear while others are being armed; what is still new after so many rounds is for the next look. */
const MOST_ROUNDS = 5;
/** More changed directories than this part of all are read as a whole. */
const LARGE_PART = 0.25;
/** Remembered files that are gone are forgotten when there are this many times as many as files. */
const SPARE_FILES = 1.2;

type Walks = ReadonlyMap<TreeSpec, SourceWalk>;

/** What a look at the sources found. */
export type Look = {
  readonly desired: Desired;
  /** Paths at which something else is asked for than after the look before; undefined: anywhere. */
  readonly changed: ReadonlySet<WorkspacePath> | undefined;
  /** A directory was still new at the end: one more look is due. */
  readonly isOpen: boolean;
};

export type SourcesOptions = {
  readonly signal: AbortSignal;
  readonly held: HeldSources;
  /** Directories that agb-sync keeps for itself, as far as they are known by now. */
  readonly own: () => OwnDirectories;
  /** The manifest's own file, to be watched too. */
  readonly manifestFile: string | undefined;
};

/** What was read last. */
type Reading = {
  readonly manifest: Manifest;
  readonly whole: Merged;
  /** `whole`, and what is held back because it is missing for a moment. */
  readonly desired: Desired;
  readonly singles: string;
};

/**
 * The local side of a watch: reads what changed and nothing else. A look at everything trusts nothing but sizes, times
 * and inodes; a look at places lists only the directories that were hinted at. Both read only what differs.
 */
export class WatchedSources {
  readonly #options: SourcesOptions;
  readonly #cache = new SourceCache();
  readonly #pinned = new PinnedSources();
  /** The directories that were listed, by local path. */
  readonly #directories = new Map<string, readonly TreeDirectory[]>();
  /** What each of them held, by its place in the workspace. */
  readonly #versions = new Map<WorkspacePath, string>();
  #reading: Reading | undefined;

  constructor(options: SourcesOptions) {
    this.#options = options;
  }

  /** Arms the hints, so that no edit from now on is missed (W5). */
  async arm(manifest: Manifest, hints: Hints): Promise<void> {
    const { manifestFile } = this.#options;
    await hints.follow(placesToWatch(manifest, this.#walkAll(manifest).values(), manifestFile));
  }

  /** Looks at everything that the manifest names. */
  async lookAtAll(manifest: Manifest, hints: Hints): Promise<Look> {
    const { held, manifestFile } = this.#options;
    const reading = this.#reading;
    const isSimple = reading !== undefined && reading.manifest === manifest && this.#isSimple(reading);
    this.#pinned.refresh();
    held.startOver();
    let walks = this.#walkAll(manifest);
    let isOpen = true;
    for (let round = 1; round <= MOST_ROUNDS; round += 1) {
      const armed = await hints.follow(placesToWatch(manifest, walks.values(), manifestFile));
      isOpen = armed.length > 0;
      if (!isOpen) break;
      // They may have been filled before they were watched.
      walks = this.#walkAll(manifest);
    }
    this.#forgetGoneFiles(walks, manifest);
    const singles = versionOfSingles(singlePaths(manifest, manifestFile));
    if (reading !== undefined && isSimple && reading.singles === singles) {
      const differing = this.#differing(walks, reading);
      if (differing?.size === 0) {
        held.takeBack();
        return { desired: reading.desired, changed: differing, isOpen };
      }
      if (differing !== undefined && differing.size <= this.#versions.size * LARGE_PART) {
        const part = new Map([...walks].map(([tree, walk]) => [tree, restrict(walk, differing)]));
        const look = await this.#readPart(reading, part);
        if (look !== undefined) return { ...look, isOpen };
      }
    }
    return { ...(await this.#readAll(manifest, walks, singles)), isOpen };
  }

  /** Looks at the directories that were hinted at; undefined when only a look at everything will do. */
  async lookAt(places: Places, manifest: Manifest, hints: Hints): Promise<Look | undefined> {
    const reading = this.#reading;
    if (reading === undefined || reading.manifest !== manifest || !this.#isSimple(reading)) return undefined;
    if (places.size === 0) return { desired: reading.desired, changed: new Set(), isOpen: false };
    const touched = this.#touchedBy(places, manifest);
    if (touched === undefined) return undefined;
    this.#pinned.refresh();
    this.#options.held.startAt(places);
    const walks = await this.#walkSome(touched, manifest, hints);
    const look = walks === undefined ? undefined : await this.#readPart(reading, walks);
    return look === undefined ? undefined : { ...look, isOpen: false };
  }

  async #readAll(manifest: Manifest, walks: Walks, singles: string): Promise<Omit<Look, "isOpen">> {
    const whole = mergeable(await this.#read(manifest, walks));
    this.#directories.clear();
    this.#versions.clear();
    for (const [tree, walk] of walks) this.#remember(tree, walk);
    return { desired: this.#conclude({ manifest, whole, singles }), changed: undefined };
  }

  /** Reads some directories and merges them into what is known of the others. */
  async #readPart(reading: Reading, walks: Walks): Promise<Omit<Look, "isOpen"> | undefined> {
    const { manifest, whole, singles } = reading;
    const trees = [...walks.keys()].filter((tree) => (walks.get(tree)?.directories.length ?? 0) > 0);
    const part = await this.#read({ ...manifest, directories: [], files: [], links: [], trees }, walks, true);
    const listed = new Set([...walks.values()].flatMap((walk) => walk.directories.map(({ path }) => path)));
    const result = merge(whole, part, listed, declaredPaths(manifest));
    if (result === undefined) return undefined;
    const { merged } = result;
    // Where links lead depends on all that they lead through.
    const isLink = (path: WorkspacePath) => [merged, whole].some(({ tree }) => tree.get(path)?.kind === "link");
    if ([...result.changed].some(isLink)) return undefined;
    const hasLost = [...result.changed].some((path) => !merged.tree.has(path));
    // A tree without any file is a matter of guards (S12).
    if (hasLost && trees.some((tree) => isEmptied(merged, tree))) return undefined;
    for (const [localPath, [directory]] of this.#directories) {
      if (directory === undefined || directory.inner === "") continue;
      if (merged.tree.get(directory.path)?.kind === "directory") continue;
      this.#directories.delete(localPath);
      this.#versions.delete(directory.path);
    }
    for (const [tree, walk] of walks) this.#remember(tree, walk);
    this.#options.held.keepOnly(merged);
    const missingBefore = reading.desired.held;
    const desired = this.#conclude({ manifest, whole: merged, singles });
    const changed = new Set(result.changed);
    for (const path of desired.held) if (!missingBefore.has(path)) changed.add(path);
    for (const path of missingBefore) if (!desired.held.has(path)) changed.add(path);
    return { desired, changed };
  }

  async #read(manifest: Manifest, walks: Walks, isPart = false): Promise<Desired> {
    const { signal, held } = this.#options;
    const walk = (tree: TreeSpec) => walks.get(tree) ?? this.#walk(manifest, tree);
    const sources = { lookAt: this.#pinned.look, walk, isPart, toleratesMissingTrees: true };
    const options = { signal, cache: this.#cache, holder: held, ...sources };
    return await readSources(manifest, options);
  }

  #conclude(read: Omit<Reading, "desired">): Desired {
    const desired = this.#options.held.withMissing(read.whole, (localPath) =>
      (this.#directories.get(dirname(localPath)) ?? []).map(({ path }) => childPath(path, basename(localPath))),
    );
    this.#reading = { ...read, desired };
    return desired;
  }

  /** Whether single directories can be read without the others. */
  #isSimple({ whole, manifest }: Reading): boolean {
    const isWhole = whole.unreadable.length + whole.emptyTrees.length + this.#options.held.faults.size === 0;
    return isWhole && !isLayered(manifest);
  }

  /** Directories that are not as they were when they were read; undefined when that does not tell everything. */
  #differing(walks: Walks, { manifest, whole }: Reading): Set<WorkspacePath> | undefined {
    const all = [...walks.values()];
    const warnings = all.flatMap((walk) => walk.warnings);
    // Warnings about the key come from reading, not from walking.
    const before = whole.warnings.filter((text) => !text.includes(HOLDS_KEY));
    const isAsBefore = warnings.length === before.length && warnings.every((text) => before.includes(text));
    const isUnreadable = all.some((walk) => walk.unreadable.length > 0);
    if (!isAsBefore || isUnreadable || walks.size < manifest.trees.length || this.#options.held.faults.size > 0)
      return undefined;
    const differing = new Set<WorkspacePath>();
    for (const walk of all) {
      for (const [path, version] of versionsOf(walk)) if (this.#versions.get(path) !== version) differing.add(path);
    }
    // What was not read because it was being written has the version that it was listed with, and may keep it.
    const temporary = new Set(all.flatMap((walk) => walk.held));
    for (const path of whole.held) if (!temporary.has(path)) differing.add(parentPath(path));
    for (const localPath of this.#cache.racy) {
      for (const { path } of this.#directories.get(dirname(localPath)) ?? []) differing.add(path);
    }
    return differing;
  }

  /** The directories of each tree that were hinted at; undefined when something else was. */
  #touchedBy(places: Places, manifest: Manifest): Map<TreeSpec, Set<string>> | undefined {
    const singles = singlePaths(manifest, this.#options.manifestFile);
    const touched = new Map<TreeSpec, Set<string>>();
    for (const [localPath, names] of places) {
      const directories = this.#directories.get(localPath);
      if (directories === undefined) return undefined;
      const isSingle = [...names].some((name) => singles.has(join(localPath, name)));
      const isUnnamed = names.has("") && [...singles].some((path) => dirname(path) === localPath);
      if (isSingle || isUnnamed) return undefined;
      for (const { tree, inner } of directories) {
        // Its rules hold for everything below.
        if (tree.gitignore && (names.has(".gitignore") || names.has(""))) return undefined;
        touched.set(tree, (touched.get(tree) ?? new Set()).add(inner));
      }
    }
    return touched;
  }

  /** Lists the touched directories and what is new in them, until nothing new is left that was not watched. */
  async #walkSome(touched: Map<TreeSpec, Set<string>>, manifest: Manifest, hints: Hints): Promise<Walks | undefined> {
    const isKnown = (localPath: string) => this.#directories.has(localPath) && hints.isFollowing(localPath);
    for (let round = 1; round <= MOST_ROUNDS; round += 1) {
      const walks = new Map<TreeSpec, SourceWalk>();
      for (const [tree, directories] of touched) walks.set(tree, this.#walk(manifest, tree, { directories, isKnown }));
      if ([...walks.values()].some(({ unreadable }) => unreadable.length > 0)) return undefined;
      const all = [{ directories: [...this.#directories.values()].flat() }, ...walks.values()];
      const suspects = new Set(
        [...walks.values()].flatMap(({ directories }) => directories.map((one) => one.localPath)),
      );
      const armed = new Set(await hints.follow(placesToWatch(manifest, all, this.#options.manifestFile), suspects));
      if (armed.size === 0) return walks;
      for (const [tree, { directories }] of walks) {
        for (const { localPath, inner } of directories) if (armed.has(localPath)) touched.get(tree)?.add(inner);
      }
      // The next round enters them again: they may have been filled before they were watched.
    }
    return undefined;
  }

  #walkAll(manifest: Manifest): Map<TreeSpec, SourceWalk> {
    const walks = new Map<TreeSpec, SourceWalk>();
    for (const tree of manifest.trees) {
      try {
        walks.set(tree, this.#walk(manifest, tree));
      } catch (error) {
        // Reading finds it again and says so.
        const isTold = isGone(error) || hasCode(error, "SOURCE_MISSING");
        if (!isTold && !(this.#options.held.holdsFaults && error instanceof AgbSyncError)) throw error;
      }
    }
    return walks;
  }

  #walk(manifest: Manifest, tree: TreeSpec, only?: WalkOnly): SourceWalk {
    const { look: lookAt, bar } = this.#pinned;
    const own = identitiesOf(this.#options.own());
    const lockFile = lockFileOf(manifest);
    const options = { holder: this.#options.held, own, lockFile, lookAt, bar, ...(only === undefined ? {} : { only }) };
    return walkSourceTree(tree, ignoreMatcher(manifest.ignore), manifest.file, options);
  }

  #remember(tree: TreeSpec, walk: SourceWalk): void {
    for (const directory of walk.directories) {
      const others = (this.#directories.get(directory.localPath) ?? []).filter((other) => other.tree !== tree);
      this.#directories.set(directory.localPath, [...others, { ...directory, tree }]);
    }
    for (const [path, version] of versionsOf(walk)) this.#versions.set(path, version);
  }

  #forgetGoneFiles(walks: Walks, manifest: Manifest): void {
    const files = [...walks.values()].reduce((sum, { entries }) => sum + entries.length, manifest.files.length);
    if (this.#cache.size <= files * SPARE_FILES + 100) return;
    const paths = new Set(singlePaths(manifest, undefined));
    for (const { entries } of walks.values()) {
      for (const entry of entries) if (entry.kind === "file") paths.add(entry.localPath);
    }
    this.#cache.keepOnly(paths);
  }
}

function isEmptied({ tree }: Merged, { path }: TreeSpec): boolean {
  for (const [other, { kind }] of tree) if (kind !== "directory" && isBelow(other, path)) return false;
  return true;
}
