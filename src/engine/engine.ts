import type { Conflict, PlannedStep } from "../plan/plan.ts";
import type { Base, BaseChange, BaseHeader } from "../tree/base.ts";
import type { ContentStore } from "../tree/content.ts";
import type { Digest } from "../tree/digest.ts";
import type { Tree } from "../tree/entry.ts";
import type { WorkspacePath } from "../tree/workspace-path.ts";

/** What a scan is asked for. */
export type ScanRequest = {
  /** Workspace paths that this answers true for are neither listed nor opened, and directories not walked. */
  readonly isIgnored: (path: string, isDirectory: boolean) => boolean;
  /** The gitignore patterns behind `isIgnored`, for engines that can apply (some of) them in the session. */
  readonly ignorePatterns: readonly string[];
  /** Digest of the desired tree: when the session is known to hold exactly that, the answer may be `unchanged`. */
  readonly expected: Digest | undefined;
  /** Paths whose digest is wanted whether base knows them or not (the desired files), with their desired size. */
  readonly wanted: ReadonlyMap<WorkspacePath, number>;
  /** Prune rules need to see paths that are neither desired nor in base. */
  readonly needsUnmanaged: boolean;
  /** `--checksum`: believe no index, hash everything again. */
  readonly checksum: boolean;
};

/** What a scan found. `rootExists` false means an absent root and an empty actual tree. */
export type ScanResult =
  | { readonly kind: "unchanged"; readonly base: undefined }
  | {
      readonly kind: "tree";
      readonly rootExists: boolean;
      readonly actual: Tree;
      /** As stored, with `recovered` made. */
      readonly base: Base | undefined;
      /** There was one that cannot be used: nobody knows what it said. */
      readonly isBaseLost?: boolean;
      /** What the journal of a run that was cut off knows of `actual`, and the stored base does not. */
      readonly recovered: readonly BaseChange[];
      /** Directories below which something ignored lies: they can neither go nor give way (S36). */
      readonly held?: ReadonlySet<WorkspacePath>;
      readonly warnings: readonly string[];
    };

/** One commit: every step of a plan, and what base becomes of it. */
export type CommitRequest = {
  /** Unique per apply; a repeated commit with the same id is answered from its report. */
  readonly applyId: string;
  readonly steps: readonly PlannedStep[];
  readonly contents: ContentStore;
  /** Generation of the base that the plan was made from; another one in the session means a stale plan. */
  readonly baseGeneration: number;
  /** What runs that were cut off put into place and did not record. */
  readonly recovered: readonly BaseChange[];
  /** What base records about paths that no step touches: adopted, kept, forgotten. */
  readonly baseChanges: readonly BaseChange[];
  /** What base is to say beside its records, once the steps ended like this. Pure. */
  readonly headerAfter: (results: readonly StepResult[]) => BaseHeader;
  readonly rootExists: boolean;
  readonly backup: boolean;
  readonly lock: LockRequest;
  readonly onStep: (index: number, result: StepResult) => void;
  readonly onBytes: (sentBytes: number, totalBytes: number) => void;
};

export type LockRequest = {
  /** Shown to whoever waits: `user@host pid 123`. */
  readonly owner: string;
  readonly timeoutMs: number;
};

export type StepResult =
  | { readonly status: "applied" }
  | { readonly status: "conflict"; readonly conflict: Conflict }
  | { readonly status: "failed"; readonly error: Error }
  /** A step it waits for did not succeed, or the apply was stopped before it began. */
  | { readonly status: "skipped"; readonly reason: string };

export type CommitResult = {
  /** By step index. */
  readonly results: readonly StepResult[];
  /** What a verification read back at each written path; absent where it was not possible. */
  readonly verified: boolean;
  readonly backupPath: string | undefined;
  /** What was not as it should be in the state directory, and no longer is. */
  readonly warnings?: readonly string[];
};

/** What is known before the sources are read. */
export type BeginScanRequest = Pick<ScanRequest, "ignorePatterns"> & {
  /** Where this machine keeps what saves time from run to run. */
  readonly cacheDirectory?: string | undefined;
};

/** A scan under way: one of the two is called. */
export type BegunScan = {
  scan(request: ScanRequest, signal: AbortSignal): Promise<ScanResult>;
  discard(): void;
};

/** One way to read and change a workspace: step by step through file tools, or in batches. */
export interface Engine {
  readonly strategy: "steps" | "batch";
  /** Reads only; no call that changes anything in the session. */
  scan(request: ScanRequest, signal: AbortSignal): Promise<ScanResult>;
  /** Begins a scan before it is known what is wanted; undefined when nothing is gained by that. */
  beginScan?(request: BeginScanRequest): BegunScan | undefined;
  commit(request: CommitRequest, signal: AbortSignal): Promise<CommitResult>;
}
