import type { WorkspacePath } from "../tree/workspace-path.ts";
import type { Placed } from "./local-target.ts";

/** What is to come back, and to where. */
export type PullSpec = {
  readonly path: WorkspacePath;
  /** Absolute: what a directory holds goes into this one, a file becomes this one. */
  readonly to: string;
  /** A file goes into `to`, whether that is there or not. */
  readonly isInto?: boolean;
  /** gitignore patterns, relative to `path`. */
  readonly exclude?: readonly string[];
  /** What was pulled before and is gone in the session goes here too, unless it changed. */
  readonly prune?: boolean;
};

export type PullOptions = {
  readonly signal: AbortSignal;
  /** Where it is recorded what was pulled; without it everything that differs here counts as changed. */
  readonly cacheDirectory?: string;
  /** Replaces what changed here since the last pull. */
  readonly force?: boolean;
  /** Says what would be done, and does nothing. */
  readonly dryRun?: boolean;
  /** Only what the session made or changed since the last apply. */
  readonly changed?: boolean;
  readonly strategy?: "auto" | "steps" | "batch";
};

/** What became of one path: as the session has it, and where it is here. */
export type PullOutcome = {
  readonly path: string;
  readonly to: string | undefined;
  readonly status: Placed["status"] | "failed";
  readonly reason?: string;
  readonly sizeBytes?: number;
};

/** In the order in which things came; unchanged ones and directories are counted only. */
export type PullReport = {
  readonly outcomes: readonly PullOutcome[];
  readonly unchanged: number;
  readonly bytes: number;
};
