import { accessSync, constants, mkdirSync, mkdtempSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { UsageError } from "../errors.ts";
import { EMULATOR_FILE } from "../tree/own-files.ts";
import { errnoOf, SessionFilesError, strerror } from "./session/session-files-error.ts";

/**
 * The directory where an emulator keeps sessions and objects, made where it is missing: `wanted`, or a new temporary
 * one. @throws {UsageError} when it cannot be made or written.
 */
export function prepareRoot(wanted: string | undefined): string {
  const directory = wanted === undefined ? undefined : resolve(wanted);
  try {
    const root = directory ?? mkdtempSync(join(tmpdir(), "agb-emulator-"));
    for (const path of [root, join(root, "sessions"), join(root, "objects")]) makeDirectory(path);
    accessSync(root, constants.W_OK | constants.X_OK);
    // By this, sources that hold this directory know that it is none of theirs.
    writeFileSync(join(root, EMULATOR_FILE), "files of an agb-sync emulator\n");
    return root;
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === undefined) throw error;
    throw new UsageError(`the emulator cannot keep its files in ${directory ?? tmpdir()}: ${strerror(errno)}`, {
      hint: "give it a directory that you may write with --root",
      cause: error,
    });
  }
}

/** One by one: Node's own `recursive` never ends below /proc, where a parent exists and nothing can be made in it. */
function makeDirectory(path: string): void {
  const stats = statSync(path, { throwIfNoEntry: false });
  if (stats?.isDirectory()) return;
  if (stats !== undefined) throw new SessionFilesError("ENOTDIR");
  makeDirectory(dirname(path));
  mkdirSync(path);
}
