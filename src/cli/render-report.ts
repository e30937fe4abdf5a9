import { plural } from "../plural.ts";
import type { ApplyReport } from "../report.ts";
import { printable } from "../tree/printable.ts";
import { countSteps, describeConflict, describeStep } from "./describe-step.ts";
import { exitCodes } from "./exit-code.ts";
import type { Ink } from "./ink.ts";
import { formatBytes, formatDuration } from "./quantities.ts";
import { owedClause, renderOwed } from "./render-owed.ts";

/** What belongs to a report and is not in it. */
export type ReportView = {
  /** Conflicts that the plan has shown; undefined: no plan was shown. */
  readonly told?: ReadonlySet<string> | undefined;
  /** How conflicts can be settled. */
  readonly hints?: readonly string[];
};

/** What an apply did, as people read it: what went wrong first, then one summary line and what to do; nothing that was told before. */
export function renderReport(report: ApplyReport, ink: Ink, { told, hints = [] }: ReportView = {}): string {
  const { paint, foreign } = ink;
  const lines: string[] = [];
  for (const { step, result } of report.outcomes) {
    if (result.status === "failed") {
      lines.push(paint("red", `  failed   ${describeStep(step)}`), `           ${foreign(result.error.message)}`);
    } else if (result.status === "skipped") {
      lines.push(paint("yellow", `  skipped  ${describeStep(step)}`), `           ${foreign(result.reason)}`);
    }
  }
  for (const conflict of report.conflicts) {
    if (told?.has(conflict.path) !== true) lines.push(paint("yellow", `  ${describeConflict(conflict).slice(2)}`));
  }
  if (told === undefined) {
    for (const { path, reason } of report.plan.unsupported)
      lines.push(paint("yellow", `  not done ${printable(path)}: ${foreign(reason)}`));
    for (const path of report.unreadable) lines.push(paint("yellow", `  unread   ${printable(path)}`));
  }
  for (const { command, status, exitCode, tail } of report.commands) {
    if (status !== "failed") continue;
    const how = exitCode === undefined ? "did not finish" : `exit ${exitCode}`;
    lines.push(paint("red", `  failed   $ ${foreign(command)} (${how})`));
    lines.push(...tail.split("\n").map((line) => `           ${foreign(line)}`));
  }
  for (const path of report.kept) lines.push(paint("cyan", `  kept     ${printable(path)}`));
  lines.push(...renderOwed(report.owed, ink));
  return [...lines, summaryOf(report, ink), ...hints].join("\n");
}

/** What an interruption leaves behind once steps are under way. */
export const UNFINISHED = "what was applied so far is recorded, apply again to finish";

/** The exit code that a report asks for: 0 only when everything is there and verified (S34). */
export function codeOf(report: ApplyReport): number {
  if (isIncomplete(report) || (!report.verified && report.kept.length === 0)) return exitCodes.failed;
  return report.conflicts.length > 0 ? exitCodes.conflicts : exitCodes.done;
}

/** True when a command failed or something else is missing from what is declared, conflicts apart. */
export function isIncomplete(report: ApplyReport): boolean {
  return missingFrom(report).length > 0 || report.commands.some(({ status }) => status === "failed");
}

/** What keeps an apply from being complete (S13, S34), each in one clause. */
function missingFrom({ outcomes, plan, unreadable, verified, kept }: ApplyReport): readonly string[] {
  const undone = outcomes.filter(({ result }) => result.status === "failed" || result.status === "skipped").length;
  return [
    ...(undone > 0 ? [`${plural(undone, "step")} not done`] : []),
    ...(undone === 0 && outcomes.length > 0 && !verified && kept.length === 0
      ? ["what was done could not be verified"]
      : []),
    ...(plan.unsupported.length > 0 ? [`${plan.unsupported.length} not possible in this session`] : []),
    ...(unreadable.length > 0 ? [`${plural(unreadable.length, "source")} could not be read`] : []),
  ];
}

function summaryOf(report: ApplyReport, { paint, foreign }: Ink): string {
  const applied = report.outcomes.filter(({ result }) => result.status === "applied").map(({ step }) => step);
  const time = formatDuration(report.durationMs);
  const backup = report.backupPath === undefined ? "" : ` Replaced files are in ${printable(report.backupPath)}/.`;
  const failedCommand = report.commands.find(({ status }) => status === "failed");
  if (failedCommand !== undefined) {
    return paint(
      "red",
      `The workspace is as declared, but a command failed: ${foreign(failedCommand.command)}; the next apply runs it again`,
    );
  }
  const missing = missingFrom(report);
  if (missing.length > 0) {
    const done = `${applied.length} of ${plural(report.outcomes.length, "step")} done in ${time}`;
    return paint("red", `Not complete: ${missing.join(", ")}; ${done}.${backup}`);
  }
  if (report.conflicts.length > 0) {
    const conflicts = plural(report.conflicts.length, "conflict");
    return paint("yellow", `Done but for ${conflicts}: ${plural(applied.length, "step")} in ${time}.${backup}`);
  }
  const owed = report.owed.length > 0 ? ` ${owedClause(report.owed)}.` : "";
  const kept = report.kept.length > 0 ? ` (${report.kept.length} kept)` : "";
  if (applied.length === 0) {
    const done = report.commands.filter(({ status }) => status === "done").length;
    const ran = done > 0 ? ` ${plural(done, "command")} run.` : "";
    const what = owed === "" ? "Nothing to do" : "Nothing to change";
    const isAs = kept === "" ? "is as declared" : "is as declared but for what is kept as the session has it";
    return paint("green", `${what}${kept}: ${printable(report.root)} ${isAs}.${ran}${owed}`);
  }
  const counts = countSteps(applied);
  const bytes = applied.reduce((sum, step) => sum + (step.op === "write" ? step.sizeBytes : 0), 0);
  const parts = Object.entries(counts)
    .filter(([, count]) => count > 0)
    .map(([what, count]) => `${count} ${pastTense[what] ?? what}`);
  return paint(
    "green",
    `Applied: ${parts.join(", ")} (${formatBytes(bytes)}) in ${time}, ${report.kept.length > 0 ? `verified${kept}` : "verified"}.${backup}${owed}`,
  );
}

const pastTense: Readonly<Record<string, string>> = {
  create: "created",
  write: "written",
  move: "moved",
  mode: "modes changed",
  delete: "deleted",
};
