import type { Digest } from "../tree/digest.ts";
import type { Entry, Mode } from "../tree/entry.ts";
import type { WorkspacePath } from "../tree/workspace-path.ts";
import type { Settlement } from "./settlements.ts";

/** Whose bytes stand at a path: as we left them, changed since, or never ours. */
export type Standing = "untouched" | "drifted" | "unmanaged";

/**
 * One intended effect, as plain JSON. `before` is what the scan saw at the path and the commit must still find;
 * absent means that nothing may be there. `backup` says that the bytes in the way go to the backup first.
 */
export type Step =
  | { readonly op: "create-directory"; readonly path: WorkspacePath; readonly mode: Mode }
  | {
      readonly op: "write";
      readonly path: WorkspacePath;
      readonly mode: Mode;
      readonly sizeBytes: number;
      readonly digest: Digest;
      readonly before?: Entry;
      readonly backup: boolean;
      readonly sensitive: boolean;
    }
  | {
      readonly op: "create-link";
      readonly path: WorkspacePath;
      readonly target: string;
      readonly before?: Entry;
      readonly backup: boolean;
    }
  | {
      /** A rename of one file, link, or (declared moves) a whole directory. Nothing may stand at `to` by then. */
      readonly op: "move";
      readonly from: WorkspacePath;
      readonly to: WorkspacePath;
      readonly before: Entry;
      /** True when `from` must be set aside before anything else happens: a cycle, a swap, or a name that is reused. */
      readonly held: boolean;
    }
  | { readonly op: "set-mode"; readonly path: WorkspacePath; readonly mode: Mode; readonly before: Mode | undefined }
  | {
      /** Files and links are removed; a directory only when nothing is left in it. */
      readonly op: "delete";
      readonly path: WorkspacePath;
      readonly before: Entry;
      readonly backup: boolean;
    };

/** A step and the indexes of the steps that must be done before it. */
export type PlannedStep = { readonly step: Step; readonly after: readonly number[] };

/** A path that was left alone because somebody else's bytes are there. */
export type Conflict = {
  readonly path: WorkspacePath;
  readonly standing: Exclude<Standing, "untouched">;
  readonly desired: Entry | undefined;
  readonly actual: Entry;
  /** One clause for people: why this is a conflict. */
  readonly reason: string;
  /** The decisions that settle it; left out: both of them. What none settles has to be moved away by hand. */
  readonly settledBy?: readonly Settlement[];
};

/** A declared path that this kind of session cannot hold, known before anything is written. */
export type Unsupported = { readonly path: WorkspacePath; readonly reason: string };

/** What apply will do, as plain JSON; `plan` prints it and `apply` never decides anew. */
export type Plan = {
  readonly version: 1;
  readonly sessionId: string;
  readonly root: string;
  /**
   * Digests of the trees that were compared, for who reads the plan. A commit knows a stale plan by base's generation and
   * by what is at each path.
   */
  readonly madeFrom: { readonly desired: Digest; readonly actual: Digest };
  /** In an order that respects every `after`. */
  readonly steps: readonly PlannedStep[];
  readonly conflicts: readonly Conflict[];
  readonly unsupported: readonly Unsupported[];
  /** Paths whose session version stays (`keep`): it becomes base, or nobody's where nothing is declared any more. */
  readonly kept: readonly WorkspacePath[];
  /** What is deleted, or gives way to something of another kind, only once nothing is against deletions any more. */
  readonly waiting: readonly WorkspacePath[];
  /** Things a person should know that stop nothing. */
  readonly warnings: readonly string[];
};
