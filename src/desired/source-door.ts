import type { Dirent, Stats } from "node:fs";
import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  statSync,
} from "node:fs";
import { join } from "node:path";
import { AgbSyncError, hasErrno } from "../errors.ts";

/**
 * The one place where local directories are entered and local files are opened (S26, W33).
 *
 * A name says nothing of what it leads to by now: a directory, or one above it, can become a link at any moment. So
 * whatever is opened is asked where it lies *after* it was opened, and is used only when that is the place that was
 * meant, without a link on the way. Linux says so itself (`/proc/self/fd`), and what is then listed or read through the
 * descriptor cannot be exchanged any more. Elsewhere the place is compared by device and inode before and after the
 * use: that notices every exchange which is not undone within the same few microseconds.
 */
const DESCRIPTORS = "/proc/self/fd";
const FILE_FLAGS = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0) | (constants.O_NOFOLLOW ?? 0);
const DIRECTORY_FLAGS = FILE_FLAGS | (constants.O_DIRECTORY ?? 0);

/** Whether this system says what a descriptor leads to. */
const isTold: boolean = statSync(`${DESCRIPTORS}/`, { throwIfNoEntry: false })?.isDirectory() ?? false;

/** `SOURCE_CHANGED`: what is at a place by now is not what was there, or is reached through a link that was not there. */
export class MovedSourceError extends AgbSyncError {
  override readonly name = "MovedSourceError";

  constructor(localPath: string) {
    super("SOURCE_CHANGED", `${localPath} became something else while it was read`, {
      hint: "apply again when it holds still",
    });
  }
}

/** A directory that was entered. What is asked of it is asked of that directory, whatever takes its name meanwhile. */
export type SourceDoor = {
  list(): readonly Dirent[];
  /** What is there by that name; a link is not followed. */
  look(name: string): Stats;
  readLink(name: string): string;
  readText(name: string): string;
  close(): void;
};

/** The absolute path without links of what `localPath` leads to. */
export function realPathOf(localPath: string): string {
  return realpathSync(localPath);
}

/**
 * Opens a file at a real path (see {@link realPathOf}); no component of it is followed if it has become a link. To be
 * closed by the caller.
 * @throws {MovedSourceError} and whatever the file system says.
 */
export function openSourceFile(realPath: string, told = isTold): number {
  let descriptor: number;
  try {
    descriptor = openSync(realPath, FILE_FLAGS);
  } catch (error) {
    // ELOOP: a link stands there by now (open(2)).
    throw hasErrno(error, "ELOOP", "EMLINK") ? new MovedSourceError(realPath) : error;
  }
  try {
    if (!isAt(descriptor, realPath, told)) throw new MovedSourceError(realPath);
    return descriptor;
  } catch (error) {
    closeSync(descriptor);
    throw error;
  }
}

/** Whether what is open lies at `realPath` now. */
function isAt(descriptor: number, realPath: string, told = isTold): boolean {
  if (told) return readlinkSync(`${DESCRIPTORS}/${descriptor}`) === realPath;
  const { dev, ino } = fstatSync(descriptor, { bigint: true });
  return identityAt(realPath) === `${dev} ${ino}`;
}

/**
 * Enters a directory at a real path. To be closed.
 * @throws {MovedSourceError} when it is there no more but something else is; whatever the file system says otherwise.
 */
export function enterSourceDirectory(realPath: string, told = isTold): SourceDoor {
  return told ? enterByDescriptor(realPath) : enterByName(realPath);
}

function enterByDescriptor(realPath: string): SourceDoor {
  let descriptor: number;
  try {
    descriptor = openSync(realPath, DIRECTORY_FLAGS);
  } catch (error) {
    throw explained(error, realPath);
  }
  if (!isAt(descriptor, realPath, true)) {
    closeSync(descriptor);
    throw new MovedSourceError(realPath);
  }
  const inside = `${DESCRIPTORS}/${descriptor}`;
  return {
    list: () => readdirSync(`${inside}/`, { withFileTypes: true }),
    look: (name) => lstatSync(`${inside}/${name}`),
    readLink: (name) => readlinkSync(`${inside}/${name}`),
    readText: (name) => readOpened(openSourceFile(join(realPath, name), true)),
    close: () => closeSync(descriptor),
  };
}

function enterByName(realPath: string): SourceDoor {
  const before = identityAt(realPath);
  if (before === undefined) throw new MovedSourceError(realPath);
  const kept = <T>(value: T): T => {
    if (identityAt(realPath) !== before) throw new MovedSourceError(realPath);
    return value;
  };
  const asked = <T>(question: () => T): T => {
    try {
      return kept(question());
    } catch (error) {
      throw explained(error, realPath);
    }
  };
  return {
    list: () => asked(() => readdirSync(realPath, { withFileTypes: true })),
    // Nothing that a look tells is sent: the file itself is looked at when it is opened.
    look: (name) => lstatSync(join(realPath, name)),
    readLink: (name) => kept(readlinkSync(join(realPath, name))),
    readText: (name) => readOpened(openSourceFile(join(realPath, name), false)),
    close: () => undefined,
  };
}

/** What is not a directory any more, and not gone either, is something else by now. */
function explained(error: unknown, realPath: string): unknown {
  const isOther = hasErrno(error, "ENOTDIR", "ELOOP", "EMLINK");
  return isOther && lstatSync(realPath, { throwIfNoEntry: false }) !== undefined
    ? new MovedSourceError(realPath)
    : error;
}

/** Device and inode of what is at a path without links; undefined when there is a link on the way, or nothing. */
function identityAt(realPath: string): string | undefined {
  try {
    const { dev, ino } = lstatSync(realPath, { bigint: true });
    return realpathSync(realPath) === realPath ? `${dev} ${ino}` : undefined;
  } catch (error) {
    if (hasErrno(error, "ENOENT", "ENOTDIR", "ELOOP")) return undefined;
    throw error;
  }
}

function readOpened(descriptor: number): string {
  try {
    if (!fstatSync(descriptor).isFile()) throw new AgbSyncError("SOURCE_CHANGED", "it is no ordinary file by now");
    return readFileSync(descriptor, "utf8");
  } finally {
    closeSync(descriptor);
  }
}
