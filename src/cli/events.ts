import { isUtf8 } from "node:buffer";
import { AgbSyncError } from "../errors.ts";
import { StaleLockError } from "../lock/lock-differences.ts";
import { ManifestError } from "../manifest/manifest-error.ts";
import { plural } from "../plural.ts";
import type { ProgressEvent } from "../progress.ts";
import type { ApplyReport } from "../report.ts";
import type { IsSensitive } from "./public-plan.ts";
import { publicCommands, publicStep } from "./public-plan.ts";

/** One line of `--json` before it is written, as schemas/events.schema.json has it: names and counts, never contents. */
export type Line = { readonly type: string; readonly [key: string]: unknown };

export function eventLine(event: ProgressEvent, hides: IsSensitive): Line {
  if (event.type !== "step") return event;
  const { result, step, ...rest } = event;
  const outcome =
    result.status === "failed"
      ? { status: result.status, message: result.error.message }
      : result.status === "conflict"
        ? { status: result.status, reason: result.conflict.reason }
        : result;
  return { ...rest, step: publicStep(step, hides), result: outcome };
}

/** What an apply did: the last line of `apply`, and one for each turn of `watch`. */
export function summaryLine(type: "summary" | "ready" | "cycle", report: ApplyReport, exitCode: number): Line {
  const count = (status: string) => report.outcomes.filter(({ result }) => result.status === status).length;
  return {
    type,
    sessionId: report.sessionId,
    root: report.root,
    strategy: report.strategy,
    applied: count("applied"),
    failed: count("failed"),
    skipped: count("skipped"),
    conflicts: report.conflicts.map(({ path, reason }) => ({ path, reason })),
    unsupported: report.plan.unsupported,
    unreadable: report.unreadable,
    verified: report.verified,
    commands: report.commands.map(({ command, status, exitCode }) => ({ command, status, exitCode: exitCode ?? null })),
    kept: report.kept,
    owed: publicCommands(report.owed),
    digest: report.workspaceDigest,
    backup: report.backupPath?.slice(report.backupPath.lastIndexOf("/") + 1) ?? null,
    ...report.counters,
    durationMs: Math.round(report.durationMs),
    exitCode,
  };
}

/** Output of the command of `run`: as text where a whole number of characters came, else as base64. Nothing is left out. */
export function commandOutputLine(stream: "stdout" | "stderr", bytes: Uint8Array): Line {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const encoding = isUtf8(buffer) ? "utf8" : "base64";
  const ts = new Date().toISOString();
  return { type: "command-output", ts, schemaVersion: 1, stream, encoding, data: buffer.toString(encoding) };
}

/** The last line of a command that could not do its work. */
export function errorLine(error: unknown, exitCode: number): Line {
  const more = error instanceof StaleLockError ? { differences: error.differences } : {};
  return { type: "error", ...factsOf(error), ...more, exitCode };
}

/** Something that stands in the way of `watch`, which goes on. */
export function problemLine(error: unknown, retryMs: number | undefined): Line {
  return { type: "problem", ...factsOf(error), retryMs: retryMs ?? null };
}

function factsOf(error: unknown) {
  const { code, hint } = error instanceof AgbSyncError ? error : { code: "INTERNAL", hint: undefined };
  const problems = error instanceof ManifestError ? error.problems : [];
  return {
    code,
    message: headlineOf(error),
    hint: hint ?? null,
    problems: problems.map(({ file, line, column, code, message, hint }) => ({
      file,
      line,
      column,
      code,
      message,
      hint: hint ?? null,
    })),
  };
}

/** What went wrong in one sentence; the problems of a manifest are only counted. */
export function headlineOf(error: unknown): string {
  if (error instanceof ManifestError) return `the manifest has ${plural(error.problems.length, "problem")}`;
  return error instanceof Error ? error.message : String(error);
}
