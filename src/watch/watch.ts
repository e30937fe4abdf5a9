import type { WatchEvent } from "./watch-event.ts";
import type { WatchOptions } from "./watch-options.ts";
import { Watcher } from "./watcher.ts";

/**
 * Applies the manifest, then every local change, until the signal aborts. Events of the file system are hints only:
 * what is sent is the difference between the sources as they are and what the session is known to hold.
 * @throws {AgbSyncError} what makes a start impossible, and later a session that has gone (without `renew`) or a bad key.
 */
export async function* watch(options: WatchOptions): AsyncGenerator<WatchEvent, void, undefined> {
  const watcher = new Watcher(options);
  try {
    yield* watcher.run();
  } finally {
    await watcher.close();
  }
}
