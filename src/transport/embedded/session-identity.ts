import { randomUUID } from "node:crypto";
import {
  closeSync,
  constants,
  fstatSync,
  openSync,
  readFileSync,
  realpathSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { hasCode, hasErrno, messageOf, TransportError } from "../../errors.ts";
import { makeDirectories } from "../../make-directories.ts";
import { digestOf, hexOf } from "../../tree/digest.ts";
import { SESSION_FILE } from "../../tree/own-files.ts";
import { renameWithoutReplacing } from "./rename-without-replacing.ts";

/** `directory` without links on the way, also while it, or what is above it, does not exist yet. */
export function realDirectory(directory: string): string {
  try {
    return realpathSync(directory);
  } catch (error) {
    if (!hasErrno(error, "ENOENT") || dirname(directory) === directory) throw error;
    return join(realDirectory(dirname(directory)), basename(directory));
  }
}

/**
 * The id of the session in `directory`: what is kept there, else one that follows from where it lies. So looking makes
 * nothing (S16), all who look see the same (S37), and a directory that is moved or copied later takes its id along.
 */
export function sessionIdOf(directory: string): string {
  return readId(directory) ?? `local-${hexOf(digestOf(directory)).slice(0, 32)}`;
}

/**
 * Makes the directory and keeps the id in it; done before anything else is made there. Safe to repeat.
 * @throws {TransportError} `STALE_PLAN` when the directory has become another session meanwhile.
 */
export function keepSessionId(directory: string, sessionId: string): void {
  try {
    makeDirectories(directory);
  } catch (cause) {
    throw new TransportError(
      "PERMISSION_DENIED",
      `cannot make the session's directory ${directory}: ${messageOf(cause)}`,
      {
        hint: "choose another place: --local DIR",
        cause,
      },
    );
  }
  const kept = readId(directory) ?? writeId(directory, sessionId);
  if (kept === sessionId) return;
  throw new TransportError("STALE_PLAN", `${directory} became another session meanwhile`, { hint: "plan again" });
}

/** Complete or not there: nobody ever reads half an id. Gives what is kept in the end. */
function writeId(directory: string, sessionId: string): string {
  const own = join(directory, `${SESSION_FILE}.${randomUUID()}`);
  writeFileSync(own, `${sessionId}\n`, { flag: "wx", mode: 0o600 });
  try {
    renameWithoutReplacing(own, join(directory, SESSION_FILE));
    return sessionId;
  } catch (error) {
    unlinkSync(own);
    if (!hasErrno(error, "EEXIST") && !hasCode(error, "ALREADY_EXISTS")) throw error;
    return readId(directory) ?? sessionId;
  }
}

function readId(directory: string): string | undefined {
  const file = join(directory, SESSION_FILE);
  let descriptor: number;
  try {
    descriptor = openSync(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    if (hasErrno(error, "ENOENT", "ENOTDIR")) return undefined;
    throw noId(file, error);
  }
  try {
    const id = fstatSync(descriptor).isFile() ? readFileSync(descriptor, "utf8").trim() : "";
    if (!/^local-[\w-]{1,80}$/.test(id)) throw noId(file, undefined);
    return id;
  } finally {
    closeSync(descriptor);
  }
}

function noId(file: string, cause: unknown): TransportError {
  return new TransportError("SESSION_FAILED", `${file} does not hold the id of a session`, {
    hint: "remove it, then apply again",
    cause,
  });
}
