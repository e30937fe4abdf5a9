import type { Desired } from "../desired/desired.ts";
import type { AgbSyncError } from "../errors.ts";
import type { ConflictRule, Manifest } from "../manifest/manifest.ts";
import type { Settlements } from "../plan/settlements.ts";
import type { ProgressListener } from "../progress.ts";

/** How to reconcile; everything but the signal has the default that the manifest or the product gives. */
export type ReconcileOptions = {
  readonly strategy?: "auto" | "steps" | "batch";
  /** Beats the manifest's rule, but not an entry's own. */
  readonly onConflict?: ConflictRule;
  /**
   * What was decided about conflicts at single paths, and below them; beats every rule.
   * A path of which neither the manifest nor the session knows anything is a `USAGE` error.
   */
  readonly settlements?: Settlements;
  /** Default true: a deletion and a creation of the same bytes are one rename. */
  readonly detectMoves?: boolean;
  /** Believe no index: hash everything again. */
  readonly checksum?: boolean;
  readonly allowMassDelete?: boolean;
  /** `10` or `10%`. */
  readonly maxDelete?: string;
  /** Files that were deleted just before, by the same burst of changes: they count for the limit (S43). Default 0. */
  readonly deletedBefore?: number;
  /** Default true: foreign bytes that are replaced or deleted go to the backup first. */
  readonly backup?: boolean;
  /** How long to wait for somebody else's lock. Default 10 s. */
  readonly lockTimeoutMs?: number;
  /** Where digests of local sources are kept from run to run; without it, or with `checksum`, all are hashed. */
  readonly cacheDirectory?: string;
  /** The sources, when reading them was begun before there was a session, or is done by others. */
  readonly sources?: Promise<Desired>;
  /**
   * Told of a source that is suddenly empty or missing (S12) and of too many deletions (S14) instead of being stopped by
   * them; the deletions in question are left out of the plan.
   */
  readonly onHeldBack?: (error: AgbSyncError) => void;
  /** The whole tree is wanted even when the session already is as declared. */
  readonly fullScan?: boolean;
  /** What nobody declared is looked for too, whatever `prune:` says. */
  readonly listsUnmanaged?: boolean;
  /** Default true: the manifest's commands run after a complete apply. False leaves them owed to a later one. */
  readonly runCommands?: boolean;
  /** Names of commands that run in this apply whether they are due or not. */
  readonly run?: readonly string[];
  /** Keys of owed commands that have run to their end meanwhile (watch): base strikes them out. */
  readonly commandsDone?: ReadonlySet<string>;
  /** Looks at what is desired, for this session, whenever a plan is to be made of it; what it throws ends that. */
  readonly onSources?: (manifest: Manifest, desired: Desired) => void;
  readonly onEvent?: ProgressListener;
  readonly signal: AbortSignal;
};
