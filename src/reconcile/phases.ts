import type { Phase } from "../progress.ts";
import type { Workspace } from "../session.ts";
import type { ReconcileOptions } from "./reconcile-options.ts";

/** Reports how long each phase took and how many requests it made. */
export function phases(options: ReconcileOptions, workspace: Workspace) {
  return async <Result>(phase: Phase, work: () => Promise<Result>): Promise<Result> => {
    const startedMs = performance.now();
    const { requests } = workspace.transport.counters;
    options.onEvent?.({ type: "phase-start", phase });
    try {
      return await work();
    } finally {
      options.onEvent?.({
        type: "phase-end",
        phase,
        durationMs: performance.now() - startedMs,
        requests: workspace.transport.counters.requests - requests,
      });
    }
  };
}
