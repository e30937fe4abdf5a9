import { chmod, readdir, rm } from "node:fs/promises";
import { join } from "node:path";

/**
 * Removes a directory and all that is in it. Sessions hold directories that nobody may write into, their own and those
 * that commands made: for anyone but root these are opened first. Links are removed, not followed.
 */
export async function removeTree(directory: string): Promise<void> {
  // Before `rm` and not when it failed: it removes side by side, and goes on with the rest after it has failed.
  if (process.getuid?.() !== 0) await openUp(directory);
  await rm(directory, { recursive: true, force: true, maxRetries: 5 });
}

async function openUp(directory: string): Promise<void> {
  await chmod(directory, 0o700);
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    if (entry.isDirectory()) await openUp(join(directory, entry.name));
  }
}
