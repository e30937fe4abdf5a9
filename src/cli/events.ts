import type { ProgressEvent } from "../progress.ts";
import type { ApplyReport } from "../report.ts";

/** One line of `--json`: an event as plain data (schemas/events.schema.json). Digests and names, never contents. */
export function eventLine(event: ProgressEvent, now: Date): string {
  if (event.type !== "step") return jsonLine(event, now);
  const { result, ...rest } = event;
  const outcome =
    result.status === "failed"
      ? { status: result.status, message: result.error.message }
      : result.status === "conflict"
        ? { status: result.status, reason: result.conflict.reason }
        : result;
  return jsonLine({ ...rest, result: outcome }, now);
}

/** The last line of `apply --json`. */
export function summaryLine(report: ApplyReport, exitCode: number, now: Date): string {
  const count = (status: string) => report.outcomes.filter(({ result }) => result.status === status).length;
  return jsonLine(
    {
      type: "summary",
      sessionId: report.sessionId,
      root: report.root,
      strategy: report.strategy,
      applied: count("applied"),
      failed: count("failed"),
      skipped: count("skipped"),
      conflicts: report.conflicts.map(({ path, reason }) => ({ path, reason })),
      unsupported: report.plan.unsupported,
      verified: report.verified,
      commands: report.commands.map(({ command, status, exitCode }) => ({
        command,
        status,
        exitCode: exitCode ?? null,
      })),
      digest: report.workspaceDigest,
      backup: report.backupPath ?? null,
      ...report.counters,
      durationMs: Math.round(report.durationMs),
      exitCode,
    },
    now,
  );
}

type Event = { readonly type: string; readonly [key: string]: unknown };

/** `{"type":…,"ts":…,"schemaVersion":1,…}` */
export function jsonLine(event: Event, now: Date): string {
  const { type, ...rest } = event;
  return JSON.stringify({ type, ts: now.toISOString(), schemaVersion: 1, ...rest });
}
