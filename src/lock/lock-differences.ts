import { AgbSyncError, UsageError } from "../errors.ts";
import { plural } from "../plural.ts";
import { comparePaths } from "../tree/workspace-path.ts";
import type { LockDocument, LockEntry, Pinned } from "./lock-document.ts";
import { inLockOrder, keyOf, lineOf } from "./lock-document.ts";

/** One line of a lock file that is not what the manifest and its sources say now. */
export type LockDifference = {
  /** As the lock file names it; `image` and `root` for what stands at its top. */
  readonly path: string;
  /** `added`: the lock file does not have it. */
  readonly change: "added" | "removed" | "changed";
  /** What of it changed, such as `digest`. */
  readonly what: readonly string[];
};

/** The manifest or its sources are not what the lock file says. Exit 4. */
export class StaleLockError extends AgbSyncError {
  override readonly name = "StaleLockError";
  readonly differences: readonly LockDifference[];

  constructor(lockFile: string, differences: readonly LockDifference[]) {
    const count = plural(differences.length, "difference");
    super("STALE_LOCK", `the manifest and its sources are not what ${lockFile} says: ${count}`, {
      hint: "bring the sources back, or accept them: agb-sync lock; apply and plan pass over it with --no-locked",
    });
    this.differences = differences;
  }
}

/** What `current` has otherwise than `locked`, by path. */
export function lockDifferences(locked: LockDocument, current: LockDocument): readonly LockDifference[] {
  const top = (["image", "root"] as const).flatMap((path): readonly LockDifference[] =>
    isSame(locked[path], current[path]) ? [] : [{ path, change: "changed", what: ["value"] }],
  );
  const before = byKey(locked);
  const after = byKey(current);
  const entries = [...new Set([...before.keys(), ...after.keys()])].flatMap((key) =>
    differenceOf(before.get(key), after.get(key)),
  );
  return [...top, ...entries.toSorted((one, other) => comparePaths(one.path, other.path))];
}

/**
 * `locked` with what is at and below `paths` as `current` has it.
 * @throws {UsageError} for a path of which neither knows anything.
 */
export function updateLock(locked: LockDocument, current: LockDocument, paths: readonly string[]): LockDocument {
  const wanted = paths.map((path) => path.replace(/^(?:\.\/)+/, "").replace(/\/+$/, ""));
  const covers = (place: string, { path }: LockEntry) =>
    place === "" || place === "." || path === place || path === `${place}/` || path.startsWith(`${place}/`);
  for (const [index, place] of wanted.entries()) {
    if ([...locked.entries, ...current.entries].some((entry) => covers(place, entry))) continue;
    throw new UsageError(`neither the lock file nor the manifest knows ${paths[index]}`, {
      hint: "name a path below root, as the lock file has it",
    });
  }
  const isWanted = (entry: LockEntry) => wanted.some((place) => covers(place, entry));
  // What leads to a new path has to be there as well.
  const kept = locked.entries.filter((entry) => !isWanted(entry));
  const taken = current.entries.filter(isWanted);
  const known = new Set([...kept, ...taken].map(keyOf));
  const above = current.entries.filter(
    (entry) =>
      entry.kind === "directory" &&
      !known.has(keyOf(entry)) &&
      taken.some(({ path }) => path.startsWith(`${entry.path}/`)),
  );
  return { ...locked, entries: inLockOrder([...kept, ...taken, ...above]) };
}

function byKey({ entries }: LockDocument): ReadonlyMap<string, LockEntry> {
  return new Map(entries.map((entry) => [keyOf(entry), entry]));
}

function differenceOf(before: LockEntry | undefined, after: LockEntry | undefined): readonly LockDifference[] {
  if (before === undefined) return after === undefined ? [] : [{ path: after.path, change: "added", what: [] }];
  if (after === undefined) return [{ path: before.path, change: "removed", what: [] }];
  if (lineOf(before) === lineOf(after)) return [];
  const keys = ["kind", "mode", "digest", "target", "sensitive", "variesBy"] as const;
  const what = keys.filter((key) => JSON.stringify(before[key]) !== JSON.stringify(after[key]));
  return [{ path: after.path, change: "changed", what }];
}

function isSame(one: Pinned, other: Pinned): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}
