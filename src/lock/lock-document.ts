import { AgbSyncError } from "../errors.ts";
import { printableJson } from "../tree/printable.ts";
import { comparePaths } from "../tree/workspace-path.ts";

/** A value, or by what it differs from machine to machine or from session to session; then the value itself is left out. */
export type Pinned = string | { readonly variesBy: readonly string[] };

/**
 * What one path is to hold. `digest`, `target` and `mode` are left out where they differ by what `variesBy` names, and the
 * digest of what is sensitive always is.
 */
export type LockEntry = {
  /** Relative to root; the text of the manifest where `pathVaries`. */
  readonly path: string;
  readonly pathVaries?: true;
  /** `tree`: a source of which nothing is known but that it is to be there. */
  readonly kind: "file" | "directory" | "link" | "tree";
  /** Four octal digits. */
  readonly mode?: string;
  readonly digest?: string;
  readonly target?: string;
  readonly sensitive?: true;
  readonly variesBy?: readonly string[];
};

/** What a manifest and its sources ask for, the same on every machine. Entries in the order of their paths' bytes. */
export type LockDocument = {
  /** The version of the manifest's schema. */
  readonly version: 1;
  readonly image: Pinned;
  readonly root: Pinned;
  readonly entries: readonly LockEntry[];
};

/** The version of the lock file's own form. */
const LOCK_VERSION = 1;

/** By which an entry is known again. */
export function keyOf({ path, pathVaries }: LockEntry): string {
  return `${pathVaries === true ? "written" : "path"} ${path}`;
}

/** In the order of a lock file. */
export function inLockOrder(entries: readonly LockEntry[]): readonly LockEntry[] {
  return entries.toSorted((one, other) => comparePaths(one.path, other.path) || comparePaths(keyOf(one), keyOf(other)));
}

/** The text of a lock file: a JSON document with one line a path. */
export function formatLock({ version, image, root, entries }: LockDocument): string {
  const head = [
    `  "lockVersion": ${LOCK_VERSION},`,
    `  "version": ${version},`,
    `  "image": ${printableJson(image)},`,
    `  "root": ${printableJson(root)},`,
  ];
  const lines = inLockOrder(entries).map((entry) => `    ${lineOf(entry)}`);
  const list = lines.length === 0 ? ['  "entries": []'] : ['  "entries": [', lines.join(",\n"), "  ]"];
  return `${["{", ...head, ...list, "}"].join("\n")}\n`;
}

/** Keys in one order, whoever made the entry. */
export function lineOf({ path, pathVaries, kind, mode, digest, target, sensitive, variesBy }: LockEntry): string {
  return printableJson({ path, pathVaries, kind, mode, digest, target, sensitive, variesBy });
}

/** What a lock file says; `name` is what messages call it. @throws {AgbSyncError} `STALE_LOCK` for anything else. */
export function parseLock(text: string, name: string): LockDocument {
  const damaged = (why: string, cause?: unknown) =>
    new AgbSyncError("STALE_LOCK", `${name} is no lock file: ${why}`, {
      hint: "bring it back from version control, or make it anew: agb-sync lock",
      cause,
    });
  let data: unknown;
  try {
    data = JSON.parse(text);
  } catch (cause) {
    throw damaged(/^(?:<{7}|={7}|>{7})/m.test(text) ? "it holds a merge conflict" : "it is not JSON", cause);
  }
  if (!isRecord(data)) throw damaged("it holds no object");
  const { lockVersion, version, image, root, entries } = data;
  if (lockVersion !== LOCK_VERSION) {
    throw damaged(`its form is ${printableJson(lockVersion ?? null)}, and this agb-sync knows ${LOCK_VERSION} only`);
  }
  if (version !== 1) throw damaged("it is for another version of manifests");
  if (!isPinned(image) || !isPinned(root)) throw damaged("image or root is missing");
  if (!Array.isArray(entries)) throw damaged("it has no entries");
  const found: unknown[] = entries;
  const known = found.filter(isEntry);
  if (known.length < found.length) {
    throw damaged(`entry ${found.findIndex((entry) => !isEntry(entry)) + 1} is not one`);
  }
  const keys = new Set<string>();
  for (const entry of known) {
    if (keys.has(keyOf(entry))) throw damaged(`it names ${entry.path} twice`);
    keys.add(keyOf(entry));
  }
  return { version, image, root, entries: inLockOrder(known) };
}

function isRecord(data: unknown): data is Readonly<Record<string, unknown>> {
  return typeof data === "object" && data !== null && !Array.isArray(data);
}

function isNames(data: unknown): data is readonly string[] {
  return Array.isArray(data) && data.every((name) => typeof name === "string");
}

function isPinned(data: unknown): data is Pinned {
  return typeof data === "string" || (isRecord(data) && isNames(data["variesBy"]));
}

function isEntry(data: unknown): data is LockEntry {
  if (!isRecord(data)) return false;
  const { path, kind, pathVaries, sensitive, variesBy } = data;
  const texts = ["mode", "digest", "target"].map((key) => data[key]);
  return (
    typeof path === "string" &&
    (kind === "file" || kind === "directory" || kind === "link" || kind === "tree") &&
    texts.every((text) => text === undefined || typeof text === "string") &&
    [pathVaries, sensitive].every((mark) => mark === undefined || mark === true) &&
    (variesBy === undefined || isNames(variesBy))
  );
}
