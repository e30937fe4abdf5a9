import type { Clock } from "../clock.ts";
import type { Manifest } from "../manifest/manifest.ts";
import type { ReconcileOptions } from "../reconcile/reconcile-options.ts";
import type { Session } from "../session.ts";
import type { Hints } from "./hints.ts";
import type { WatchState } from "./watch-event.ts";

/** How to watch; times in milliseconds. */
export type WatchOptions = Omit<ReconcileOptions, "sources" | "fullScan" | "onHeldBack"> & {
  /** Reads the manifest; called again when it may have changed. */
  readonly loadManifest: (sessionId?: string) => Promise<Manifest>;
  /** The manifest's own file, to be watched too. */
  readonly manifestFile?: string;
  /** Reaches the session; `mustBeNew` after the former one has gone. */
  readonly connect: (manifest: Manifest, mustBeNew: boolean) => Promise<Session>;
  /** Quiet time before changes are applied. Default 50. */
  readonly debounceMs?: number;
  /** Longest wait under constant changes. Default 2,000. */
  readonly maxWaitMs?: number;
  /** The session is compared as a whole this often. Default 60,000; 0: never. */
  readonly rescanMs?: number;
  /** The sources are looked at as a whole this often, or less often when that takes long. Default 10,000. */
  readonly safetyMs?: number;
  /** Look at this interval instead of listening for changes, as for network drives. */
  readonly pollMs?: number;
  /** A session that has gone is created again and filled again. */
  readonly renew?: boolean;
  /** Told how things stand, as often as that changes. */
  readonly onState?: (state: WatchState) => void;
  /** Time and chance, for tests. */
  readonly clock?: Clock;
  /** Sources of hints, for tests with watchers that lie. */
  readonly openHints?: () => Hints;
};
