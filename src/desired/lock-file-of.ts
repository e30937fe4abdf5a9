import { basename, join } from "node:path";
import type { Manifest } from "../manifest/manifest.ts";
import { realPathOf } from "./source-door.ts";

/**
 * Where the lock file of a manifest lies, without links; undefined where its directory is not there. It says what trees
 * hold, so no tree brings it.
 */
export function lockFileOf({ directory, file }: Pick<Manifest, "directory" | "file">): string | undefined {
  try {
    return join(realPathOf(directory), `${basename(file)}.lock`);
  } catch {
    return undefined;
  }
}
