import { lstatSync, readdirSync, rmdirSync, unlinkSync } from "node:fs";
import { isClosed, OWNER_ALL } from "../../tree/entry.ts";
import { changeMode } from "./change-mode.ts";
import { inDirectory } from "./safe-directory.ts";
import type { Turns } from "./turns.ts";

/**
 * Removes `name` in the directory `inner` below `top`, with everything in it and following no link, even one that is
 * put there meanwhile (S25). A missing one is success.
 */
export async function removeTree(top: string, inner: string, name: string, turns: Turns): Promise<void> {
  const own = inner === "" ? name : `${inner}/${name}`;
  if (!inDirectory(top, inner, { create: false }, (at) => unlinkOrOpen(at(name)))) return;
  const deeper = inDirectory(top, own, { create: false }, (at) =>
    readdirSync(at(".")).filter((child) => unlinkOrOpen(at(child))),
  );
  for (const child of deeper) {
    await turns.next();
    await removeTree(top, own, child, turns);
  }
  inDirectory(top, inner, { create: false }, (at) => rmdirSync(at(name)));
}

/** True for a directory, which its owner can then empty; anything else is gone. */
function unlinkOrOpen(own: string): boolean {
  const stats = lstatSync(own, { throwIfNoEntry: false });
  if (stats?.isDirectory() !== true) {
    if (stats !== undefined) unlinkSync(own);
    return false;
  }
  if (isClosed(stats.mode)) changeMode(own, stats.mode | OWNER_ALL);
  return true;
}
