import { closeSync, lstatSync } from "node:fs";
import { hasCode } from "../../errors.ts";
import type { WorkspacePath } from "../../tree/workspace-path.ts";
import { baseName, parentPath } from "../../tree/workspace-path.ts";
import type { Reading } from "./read-session-file.ts";
import { hashLarge, hashSmall, openUnfollowed } from "./read-session-file.ts";
import { translate } from "./translate.ts";
import type { Turns } from "./turns.ts";

/** What says that a path is no file that can be read, not that reading failed. */
const unreadable = ["NOT_FOUND", "NOT_A_DIRECTORY", "IS_A_DIRECTORY", "PERMISSION_DENIED", "OUTSIDE_ROOT"] as const;

/** What an embedded transport has of this: its directories, and its turns with what else this process does. */
type Directories = {
  readonly turns: Turns;
  inside<Result>(path: WorkspacePath, work: (at: (name: string) => string) => Result): Result;
};

/** Paths worked on through one opening of their directory. */
const FILES_AT_A_TIME = 100;

/**
 * Reads and hashes files, neighbours together; `onRead` hears of each that is a regular file and holds still. `hash` is
 * tried on every file first.
 */
export async function hashFiles(
  transport: Directories,
  paths: readonly WorkspacePath[],
  onRead: (path: WorkspacePath, reading: Reading) => void,
  signal: AbortSignal,
  hash: (localPath: string) => Reading | undefined = (localPath) => hashSmall(localPath),
): Promise<void> {
  for (const group of neighbours(paths)) {
    await transport.turns.next();
    signal.throwIfAborted();
    for (const path of hashTogether(transport, group, onRead, hash)) {
      const reading = await hashAlone(transport, path, signal);
      if (reading !== undefined) onRead(path, reading);
    }
  }
}

type Neighbours = [WorkspacePath, ...WorkspacePath[]];

/** Runs of paths in one directory, each short enough to be worked on in one go. */
export function* neighbours(paths: readonly WorkspacePath[]): Generator<Readonly<Neighbours>> {
  let group: Neighbours | undefined;
  for (const path of paths) {
    if (group !== undefined && group.length < FILES_AT_A_TIME && parentPath(group[0]) === parentPath(path)) {
      group.push(path);
      continue;
    }
    if (group !== undefined) yield group;
    group = [path];
  }
  if (group !== undefined) yield group;
}

/** Gives those that need a look of their own. */
function hashTogether(
  transport: Directories,
  group: Readonly<Neighbours>,
  onRead: (path: WorkspacePath, reading: Reading) => void,
  hash: (localPath: string) => Reading | undefined,
): readonly WorkspacePath[] {
  const others = readable(() =>
    transport.inside(parentPath(group[0]), (at) =>
      group.filter((path) => {
        const reading = readable(() => hash(at(baseName(path))));
        if (reading !== undefined) onRead(path, reading);
        return reading === undefined;
      }),
    ),
  );
  return others ?? [];
}

async function hashAlone(transport: Directories, path: WorkspacePath, signal: AbortSignal) {
  const descriptor = readable(() =>
    transport.inside(parentPath(path), (at) => {
      const own = at(baseName(path));
      return lstatSync(own).isFile() ? openUnfollowed(own) : undefined;
    }),
  );
  if (descriptor === undefined) return undefined;
  try {
    return await hashLarge(descriptor, transport.turns, signal);
  } finally {
    closeSync(descriptor);
  }
}

/** What `work` gives; undefined where there is nothing that could be read. */
function readable<Result>(work: () => Result): Result | undefined {
  try {
    return work();
  } catch (cause) {
    const error = translate(cause, "");
    if (hasCode(error, ...unreadable)) return undefined;
    throw error;
  }
}
