import { readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { makeDirectories } from "./make-directories.ts";
import { digestOf, hexOf } from "./tree/digest.ts";

/** Files that nothing was written to for so long are removed. */
const KEPT_MS = 30 * 24 * 3_600_000;
const KINDS = ["sources", "rest", "pulls"] as const;
type Kind = (typeof KINDS)[number];

/** A file of the cache on this machine, of what `owner` names. It saves time only: what cannot be read is not known. */
export function readCacheFile(directory: string, kind: Kind, owner: string): string | undefined {
  try {
    return readFileSync(join(directory, nameOf(kind, owner)), "utf8");
  } catch {
    return undefined;
  }
}

/** Replaces it; what cannot be written is no reason to fail. */
export function writeCacheFile(directory: string, kind: Kind, owner: string, text: string): void {
  const file = join(directory, nameOf(kind, owner));
  const staged = `${file}.${process.pid}.new`;
  const isWritten = succeeds(() => {
    makeDirectories(directory, 0o700);
    writeFileSync(staged, text, { mode: 0o600 });
    renameSync(staged, file);
  });
  succeeds(() => (isWritten ? removeOld(directory) : rmSync(staged, { force: true })));
}

function nameOf(kind: Kind, owner: string): string {
  return `${kind}-${hexOf(digestOf(owner)).slice(0, 16)}`;
}

function succeeds(work: () => void): boolean {
  try {
    work();
    return true;
  } catch {
    return false;
  }
}

function removeOld(directory: string): void {
  for (const name of readdirSync(directory)) {
    const file = join(directory, name);
    const isOurs = KINDS.some((kind) => name.startsWith(`${kind}-`));
    const stats = isOurs ? statSync(file, { throwIfNoEntry: false }) : undefined;
    if (stats !== undefined && Date.now() - stats.mtimeMs > KEPT_MS) rmSync(file, { force: true });
  }
}
