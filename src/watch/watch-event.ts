import type { Conflict, Step } from "../plan/plan.ts";
import type { Drift } from "../reconcile/drift.ts";
import type { ApplyReport } from "../report.ts";

/** A step that did not go well. */
export type StepFailure = { readonly step: Step; readonly error: Error };

/** What watching gives, as it happens. Reports count the requests and bytes of their own cycle only. */
export type WatchEvent =
  /** The first apply is verified; no change after this is missed. */
  | { readonly type: "ready"; readonly report: ApplyReport; readonly sessionId: string }
  /** One batch. `latencyMs`: from the first hint of it. `newConflicts`, `newFailures`: not told before. */
  | {
      readonly type: "cycle";
      readonly report: ApplyReport;
      readonly latencyMs: number;
      readonly newConflicts: readonly Conflict[];
      readonly newFailures: readonly StepFailure[];
    }
  /** What the session's side changed since it was last seen, found by comparing everything. */
  | { readonly type: "drift"; readonly changes: readonly Drift[] }
  /** Something that stops nothing, told once while it stands. */
  | { readonly type: "warning"; readonly message: string }
  /** Something stands in the way of `about`; watching goes on, after `retryMs` or with the next change. Told once. */
  | {
      readonly type: "problem";
      readonly about: "manifest" | "source" | "guard" | "session";
      readonly error: Error;
      readonly retryMs: number | undefined;
    }
  /** No problem stands any more. */
  | { readonly type: "recovered" }
  | { readonly type: "renewed"; readonly sessionId: string }
  /** The signal came while an apply was under way; what of it was done is recorded in the session. */
  | { readonly type: "interrupted" };

/** How things stand between events, for a status line. */
export type WatchState = {
  readonly activity: "connecting" | "applying" | "idle" | "waiting";
  /** Undefined while there is no session. */
  readonly session: { readonly id: string; readonly isNew: boolean } | undefined;
  /** Hints that were not looked at yet. */
  readonly queued: number;
};
