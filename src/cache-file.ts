import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** Files that nothing was written to for so long are removed. */
const KEPT_MS = 30 * 24 * 3_600_000;
const PREFIXES = ["sources-", "rest-"];

/** A file of the cache on this machine. It saves time only: what cannot be read is not known. */
export function readCacheFile(directory: string, name: string): string | undefined {
  try {
    return readFileSync(join(directory, name), "utf8");
  } catch {
    return undefined;
  }
}

/** Replaces it; what cannot be written is no reason to fail. */
export function writeCacheFile(directory: string, name: string, text: string): void {
  const file = join(directory, name);
  const staged = `${file}.${process.pid}.new`;
  const isWritten = succeeds(() => {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    writeFileSync(staged, text, { mode: 0o600 });
    renameSync(staged, file);
  });
  succeeds(() => (isWritten ? removeOld(directory) : rmSync(staged, { force: true })));
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
    const isOurs = PREFIXES.some((prefix) => name.startsWith(prefix));
    const stats = isOurs ? statSync(file, { throwIfNoEntry: false }) : undefined;
    if (stats !== undefined && Date.now() - stats.mtimeMs > KEPT_MS) rmSync(file, { force: true });
  }
}
