import type { Clock } from "../clock.ts";
import type { Manifest } from "../manifest/manifest.ts";
import type { Session } from "../session.ts";
import { sleepOrAbort } from "../transport/retry-policy.ts";

/** Well inside the default idle time of five minutes. */
const KEEP_ALIVE_MS = 120_000;

/**
 * Pushes the idle release of a session away until the signal aborts (W21). A call that fails is told to `onFailure`:
 * the session may be gone.
 */
export async function keepAlive(
  session: Session,
  manifest: Manifest,
  clock: Clock,
  signal: AbortSignal,
  onFailure: (error: unknown) => void,
): Promise<void> {
  const everyMs = Math.min(KEEP_ALIVE_MS, (manifest.session.idleTimeoutMs ?? Number.POSITIVE_INFINITY) / 2);
  while (!signal.aborted) {
    try {
      await sleepOrAbort(clock, everyMs, signal);
      await session.keepAlive(signal);
    } catch (error) {
      if (!signal.aborted) onFailure(error);
    }
  }
}
