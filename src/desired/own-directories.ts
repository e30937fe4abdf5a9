import { statSync } from "node:fs";
import { join, sep } from "node:path";
import { AgbSyncError, hasErrno } from "../errors.ts";
import type { Manifest } from "../manifest/manifest.ts";
import { realPathOf } from "./source-door.ts";

/** What tells directories apart, by whatever way they are reached: through links, mounts, or names of another case. */
export type DirectoryIdentities = ReadonlyMap<string, keyof OwnDirectories>;

/** Directories on this machine that agb-sync keeps for itself. Of caches nobody has to be told. */
export type OwnDirectories = { readonly sessions: readonly string[]; readonly caches: readonly string[] };

/** Those of the directories that are there. */
export function identitiesOf({ sessions, caches }: OwnDirectories): DirectoryIdentities {
  const entries = (kind: keyof OwnDirectories, directories: readonly string[]) =>
    directories.flatMap((directory): [string, keyof OwnDirectories][] => {
      const identity = identityOf(directory);
      return identity === undefined ? [] : [[identity, kind]];
    });
  return new Map([...entries("caches", caches), ...entries("sessions", sessions)]);
}

function identityOf(directory: string): string | undefined {
  try {
    const { dev, ino } = statSync(directory);
    return `${dev} ${ino}`;
  } catch (error) {
    if (hasErrno(error, "ENOENT", "ENOTDIR", "EACCES", "ELOOP", "ENAMETOOLONG")) return undefined;
    throw error;
  }
}

/** Where a session on this machine keeps its files: all of it, and what an apply writes to. */
export function sessionDirectories(localDirectory: string | undefined, root: string): readonly string[] {
  return localDirectory === undefined ? [] : [localDirectory, join(localDirectory, root)];
}

/**
 * An apply that writes into the directory that its sources come from would read back what it wrote (S46).
 * @throws {AgbSyncError} `SOURCE_ESCAPES`.
 */
export function checkSourcesOutside({ trees, files, file }: Manifest, written: string): void {
  const named = [
    ...trees.map(({ source, at }) => ({ place: source, at, what: "tree" })),
    ...files.flatMap(({ origin, at }) =>
      origin.kind === "source" ? [{ place: origin.localPath, at, what: "source" }] : [],
    ),
  ];
  const real = realOrItself(written);
  for (const { place, at, what } of named) {
    const source = realOrItself(place);
    if (source !== real && !source.startsWith(`${real}${sep}`)) continue;
    const message = `the ${what} ${place} lies in ${written}, where the session keeps its files (${file}:${at.line})`;
    throw new AgbSyncError("SOURCE_ESCAPES", message, {
      hint: "keep the session somewhere else, with --local DIR; an apply would write over what it reads",
    });
  }
}

function realOrItself(path: string): string {
  try {
    return realPathOf(path);
  } catch {
    // What is not there yet is nowhere else either.
    return path;
  }
}
