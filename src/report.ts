import type { StepResult } from "./engine/engine.ts";
import type { RunSpec } from "./manifest/manifest.ts";
import type { Conflict, Plan, Step } from "./plan/plan.ts";
import type { CommandOutcome } from "./run/run-commands.ts";
import type { Counters } from "./transport/transport.ts";
import type { BaseHeader } from "./tree/base.ts";
import type { Digest } from "./tree/digest.ts";
import type { WorkspacePath } from "./tree/workspace-path.ts";

/** What an apply did, for people and machines. */
export type ApplyReport = {
  readonly sessionId: string;
  readonly root: string;
  readonly plan: Plan;
  readonly strategy: "steps" | "batch";
  /** Why that strategy was taken, in one clause. */
  readonly strategyReason: string;
  /** One for each step of the plan, in its order. */
  readonly outcomes: readonly { readonly step: Step; readonly result: StepResult }[];
  /** Everything left alone, also what became a conflict at the commit. */
  readonly conflicts: readonly Conflict[];
  /** Local paths that could not be read; nothing was deleted because of them (S13). */
  readonly unreadable: readonly string[];
  /** True when every written path was read back (by digest) as declared, and nothing is kept instead of it. */
  readonly verified: boolean;
  /** Digest of what is there now; that of the declared tree, the same for the same manifest and sources, if that is there. */
  readonly workspaceDigest: Digest;
  /** Declared paths where the session's version stands, as `keep` left it. */
  readonly kept: readonly WorkspacePath[];
  readonly backupPath: string | undefined;
  /** What became of the manifest's commands; empty when they were not due. */
  readonly commands: readonly CommandOutcome[];
  /** Commands that are due and have not run to their end: the next apply runs them (S40). */
  readonly owed: readonly RunSpec[];
  /** What base came to say after the commit, when commands have run since. */
  readonly recorded?: { readonly generation: number; readonly header: BaseHeader } | undefined;
  readonly counters: Readonly<Counters>;
  readonly durationMs: number;
};
