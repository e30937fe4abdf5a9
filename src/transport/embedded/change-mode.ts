import { chmodSync, closeSync, constants, fchmodSync, fstatSync, openSync } from "node:fs";
import { TransportError } from "../../errors.ts";
import type { Mode } from "../../tree/entry.ts";
import { O_PATH } from "./safe-directory.ts";

/**
 * Sets the mode of a file or directory, whatever its mode was; never of what a link points to.
 * @throws {TransportError} `OUTSIDE_ROOT` for a link.
 */
export function changeMode(localPath: string, mode: Mode): void {
  const descriptor = openSync(localPath, O_PATH | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    if (O_PATH === 0) fchmodSync(descriptor, mode);
    else if (!fstatSync(descriptor).isSymbolicLink()) chmodSync(`/proc/self/fd/${descriptor}`, mode);
    else throw new TransportError("OUTSIDE_ROOT", `${localPath} is a link and is not followed`);
  } finally {
    closeSync(descriptor);
  }
}
