import type { Desired } from "../desired/desired.ts";
import { forSession } from "../manifest/for-session.ts";
import type { Manifest, Position } from "../manifest/manifest.ts";
import type { Entry } from "../tree/entry.ts";
import type { WorkspacePath } from "../tree/workspace-path.ts";
import { ancestorsOf } from "../tree/workspace-path.ts";
import type { LockDocument, LockEntry, Pinned } from "./lock-document.ts";
import { inLockOrder } from "./lock-document.ts";

/** Stands in for the id of a session where there is none: everything that holds it is marked, and its value not pinned. */
const ANY_SESSION = "any-session";

/** The manifest as a lock is made of it, whole although no session is known. */
export function forAnySession(manifest: Manifest): Manifest {
  return manifest.variables.sessionId === undefined ? forSession(manifest, ANY_SESSION) : manifest;
}

/** Keys whose text decides what an entry holds. */
const CONTENT_KEYS = ["content", "source", "url", "sha256", "target", "exclude"] as const;

/**
 * Pins what is desired. What differs by machine or session is named and never pinned, nor is what is sensitive: neither
 * its value nor its digest. The same, whatever session `manifest` and `desired` are for.
 */
export function makeLock(manifest: Manifest, desired: Desired): LockDocument {
  return new LockMaker(manifest, desired).make();
}

class LockMaker {
  readonly #manifest: Manifest;
  readonly #desired: Desired;
  /** Where a path itself is declared, and not as part of a tree. */
  readonly #declaredAt: ReadonlyMap<WorkspacePath, Position>;
  /** What varies, by the place of its entry and the key in it. */
  readonly #varying = new Map<string, { readonly names: readonly string[]; readonly written: string }>();

  constructor(manifest: Manifest, desired: Desired) {
    this.#manifest = manifest;
    this.#desired = desired;
    const { directories, files, links } = manifest;
    this.#declaredAt = new Map([...directories, ...files, ...links].map(({ path, at }) => [path, at]));
    for (const { section, at, key, names, written } of manifest.varying) {
      const place = placeOf(at, key);
      const all = [...(this.#varying.get(place)?.names ?? []), ...names];
      if (section !== "vars") this.#varying.set(place, { names: sorted(all), written });
    }
  }

  make(): LockDocument {
    const { image } = this.#manifest.session;
    const hidden = this.#hiddenPlaces();
    const stays = this.#pathsOfEveryMachine(hidden);
    const entries = [...this.#desired.tree].flatMap(([path, entry]) =>
      stays.has(path) ? [this.#entryAt(path, entry)] : [],
    );
    return {
      version: 1,
      image: this.#pinned("session", "image", image),
      root: this.#pinned("root", "", this.#manifest.root),
      entries: inLockOrder([...entries, ...this.#varyingPlaces()]),
    };
  }

  /** Top-level values stand at their own place. */
  #pinned(section: string, key: string, value: string): Pinned {
    const names = this.#manifest.varying.filter((one) => one.section === section && one.key === key);
    return names.length === 0 ? value : { variesBy: sorted(names.flatMap((one) => one.names)) };
  }

  #by(at: Position | undefined, ...keys: readonly string[]): readonly string[] {
    if (at === undefined) return [];
    return sorted(keys.flatMap((key) => this.#varying.get(placeOf(at, key))?.names ?? []));
  }

  /** By what the list of a tree's entries differs. */
  #treeBy(at: Position): readonly string[] {
    const ignore = this.#manifest.varying.filter(({ section }) => section === "ignore").flatMap(({ names }) => names);
    return sorted([...this.#by(at, ...CONTENT_KEYS), ...ignore]);
  }

  /** Places of entries whose paths are not the same everywhere: varying ones, and trees of which nothing is pinned. */
  #hiddenPlaces(): ReadonlySet<string> {
    const { files, trees, links, directories } = this.#manifest;
    const moving = [...files, ...trees, ...links, ...directories].filter(({ at }) => this.#by(at, "path").length > 0);
    const unknown = trees.filter(({ at }) => this.#treeBy(at).length > 0);
    return new Set([...moving, ...unknown].map(({ at }) => placeOf(at, "")));
  }

  /** Paths that are desired whatever the hidden entries become, and the directories that lead to them. */
  #pathsOfEveryMachine(hidden: ReadonlySet<string>): ReadonlySet<WorkspacePath> {
    const { tree, positions } = this.#desired;
    if (hidden.size === 0) return new Set(tree.keys());
    const declared = this.#manifest.directories.flatMap(({ path, at }) => (hidden.has(placeOf(at, "")) ? [] : [path]));
    // A directory that nobody declared has the place of whatever came first, which may be hidden.
    const found = [...tree.keys()].filter((path) => {
      const at = positions.get(path);
      return at === undefined || !hidden.has(placeOf(at, ""));
    });
    const fixed = [...found, ...declared, ...this.#fixedPartsOf(hidden)];
    return new Set(fixed.flatMap((path) => [...ancestorsOf(path), path]));
  }

  /** What of a varying path, or of the path of a tree that varies, is the same everywhere. */
  #fixedPartsOf(hidden: ReadonlySet<string>): readonly WorkspacePath[] {
    const { files, trees, links, directories } = this.#manifest;
    return [...files, ...trees, ...links, ...directories].flatMap(({ path, at }) => {
      if (!hidden.has(placeOf(at, ""))) return [];
      const written = this.#varying.get(placeOf(at, "path"))?.written;
      const parts = ancestorsOf(path);
      if (written === undefined) return path === "" ? [] : [...parts, path];
      const names = written.split("/").filter((name) => name !== "" && name !== ".");
      const fixed = names.findIndex((name) => name.includes("${"));
      return parts.slice(0, Math.max(0, fixed));
    });
  }

  #entryAt(path: WorkspacePath, entry: Entry): LockEntry {
    const { policies, positions, varying } = this.#desired;
    const at = positions.get(path);
    const isDeclared = this.#declaredAt.get(path) === at;
    switch (entry.kind) {
      case "directory": {
        const by = this.#by(this.#declaredAt.get(path), "mode");
        return { path, kind: "directory", ...modeOf(entry.mode, by), ...named(by) };
      }
      case "link": {
        const by = isDeclared ? this.#by(at, "target") : [];
        return { path, kind: "link", ...(by.length > 0 ? {} : targetOf(entry.target)), ...named(by) };
      }
      case "file": {
        const modeBy = isDeclared ? this.#by(at, "mode") : [];
        const contentBy = [...(isDeclared ? this.#by(at, ...CONTENT_KEYS) : []), ...(varying.get(path) ?? [])];
        const isSensitive = policies.get(path)?.sensitive === true;
        return {
          path,
          kind: "file",
          ...modeOf(entry.mode, modeBy),
          ...(contentBy.length > 0 || isSensitive || entry.digest === undefined ? {} : { digest: entry.digest }),
          ...(isSensitive ? { sensitive: true } : {}),
          ...named([...modeBy, ...contentBy]),
        };
      }
      case "special":
        return { path, kind: "file" };
    }
  }

  /** One entry for each path that varies, by its text, and for each tree of which nothing can be pinned. */
  #varyingPlaces(): readonly LockEntry[] {
    const { files, trees, links, directories } = this.#manifest;
    const entries = (
      kind: LockEntry["kind"],
      specs: readonly { readonly path: WorkspacePath; readonly at: Position }[],
    ) =>
      specs.flatMap(({ path, at }): readonly LockEntry[] => {
        const moving = this.#varying.get(placeOf(at, "path"));
        const by = sorted([
          ...this.#by(at, "path", "mode", ...CONTENT_KEYS),
          ...(kind === "tree" ? this.#treeBy(at) : []),
        ]);
        if (moving !== undefined) return [{ path: moving.written, pathVaries: true, kind, ...named(by) }];
        return kind === "tree" && by.length > 0 ? [{ path: path === "" ? "." : `${path}/`, kind, ...named(by) }] : [];
      });
    return [
      ...entries("file", files),
      ...entries("tree", trees),
      ...entries("link", links),
      ...entries("directory", directories),
    ];
  }
}

function placeOf({ line, column }: Position, key: string): string {
  return `${line}:${column} ${key}`;
}

function sorted(names: readonly string[]): readonly string[] {
  return [...new Set(names)].toSorted((one, other) => (one < other ? -1 : 1));
}

function named(by: readonly string[]): Pick<LockEntry, "variesBy"> {
  return by.length === 0 ? {} : { variesBy: sorted(by) };
}

function modeOf(mode: number | undefined, by: readonly string[]): Pick<LockEntry, "mode"> {
  return mode === undefined || by.length > 0 ? {} : { mode: mode.toString(8).padStart(4, "0") };
}

function targetOf(target: string | undefined): Pick<LockEntry, "target"> {
  return target === undefined ? {} : { target };
}
