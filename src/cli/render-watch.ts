import { AgbSyncError } from "../errors.ts";
import { ManifestError } from "../manifest/manifest-error.ts";
import { targetOf } from "../plan/order-steps.ts";
import type { Conflict, Step } from "../plan/plan.ts";
import { plural } from "../plural.ts";
import type { Drift } from "../reconcile/drift.ts";
import type { ApplyReport } from "../report.ts";
import { printable } from "../tree/printable.ts";
import { comparePaths } from "../tree/workspace-path.ts";
import type { WatchEvent } from "../watch/watch-event.ts";
import type { Given } from "./again.ts";
import { restoreHints, settleHints } from "./again.ts";
import type { Console } from "./console.ts";
import { countSteps, describeConflict, describeStep } from "./describe-step.ts";
import type { Line } from "./events.ts";
import { headlineOf, problemLine, summaryLine } from "./events.ts";
import { localFault } from "./local-fault.ts";
import { changeOf } from "./public-plan.ts";
import { formatBytes, formatDuration } from "./quantities.ts";
import { codeOf, renderReport, UNFINISHED } from "./render-report.ts";

/** Where a watch works: for commands that are shown, and for those who look into a local session. */
export type WatchedPlace = Given & { readonly files?: string | undefined };

/** Prints an event as people read it. `given` leads to the same workspace, for commands that settle conflicts. */
export function showEvent(console: Console, event: WatchEvent, given: WatchedPlace): void {
  const hintsFor = (conflicts: readonly Conflict[]) => settleHints(conflicts, given, console.ink);
  switch (event.type) {
    case "ready":
      console.print(
        renderReport(event.report, console.ink, {
          hints: [...restoreHints(event.report.backupPath, given, console.ink), ...hintsFor(event.report.conflicts)],
        }),
      );
      console.print(
        `Ready: watching for changes, session ${printable(event.sessionId)}${given.files === undefined ? "" : ` (files in ${given.files})`}. Ctrl-C ends.`,
      );
      return;
    case "cycle": {
      const { report } = event;
      if (report.outcomes.length > 0) console.print(cycleLine(report, event.latencyMs, new Date()));
      if (console.isVerbose) for (const { step } of report.outcomes) console.print(`          ${describeStep(step)}`);
      for (const conflict of event.newConflicts) console.warn(describeConflict(conflict).slice(2));
      for (const line of hintsFor(event.newConflicts)) console.say(line);
      for (const { step, error } of event.newFailures) console.warn(`failed ${describeStep(step)}: ${error.message}`);
      return;
    }
    case "drift":
      for (const change of event.changes) console.warn(`${whatDrifted(change)} in the session: ${change.path}`);
      return;
    case "warning":
      console.warn(event.message);
      return;
    case "problem":
      showProblem(console, event);
      return;
    case "recovered":
      console.say("going on");
      return;
    case "renewed":
      console.print(`New session ${printable(event.sessionId)}: filling it.`);
      return;
    case "interrupted":
      console.say(`interrupted; ${UNFINISHED}`);
      return;
  }
}

/** The event as a line of JSON (schemas/events.schema.json). */
export function watchLine(event: WatchEvent): Line {
  switch (event.type) {
    case "ready":
      return summaryLine("ready", event.report, codeOf(event.report));
    case "cycle":
      return {
        ...summaryLine("cycle", event.report, codeOf(event.report)),
        latencyMs: Math.round(event.latencyMs),
        newConflicts: event.newConflicts.map(({ path, reason }) => ({ path, reason })),
        newFailures: event.newFailures.map(({ step, error }) => ({
          op: step.op,
          path: targetOf(step),
          message: error.message,
        })),
      };
    case "drift":
      return {
        type: "drift",
        changes: event.changes.map((change) => ({
          path: change.path,
          what: whatDrifted(change),
          change: changeOf(change),
        })),
      };
    case "warning":
      return { type: "notice", level: "warning", message: event.message };
    case "problem":
      return { ...problemLine(localFault(event.error) ?? event.error, event.retryMs), about: event.about };
    case "recovered":
      return { type: "recovered" };
    case "renewed":
      return { type: "renewed", sessionId: event.sessionId };
    case "interrupted":
      return { type: "notice", level: "warning", message: "interrupted in the middle of an apply" };
  }
}

/** What a whole watch did, for its last line. */
export class WatchTotals {
  cycles = 0;
  #steps = 0;
  #bytes = 0;
  #last: ApplyReport | undefined;
  #counters = { requests: 0, bytesSent: 0, bytesReceived: 0, retries: 0 };
  readonly #startedMs = performance.now();

  /** Adds what one report counts. */
  add(event: WatchEvent): void {
    if (event.type !== "ready" && event.type !== "cycle") return;
    const { report } = event;
    if (event.type === "cycle") this.cycles += 1;
    this.#steps += appliedSteps(report).length;
    this.#bytes += writtenBytes(report);
    this.#last = report;
    const { counters } = report;
    this.#counters = {
      requests: this.#counters.requests + counters.requests,
      bytesSent: this.#counters.bytesSent + counters.bytesSent,
      bytesReceived: this.#counters.bytesReceived + counters.bytesReceived,
      retries: this.#counters.retries + counters.retries,
    };
  }

  text(): string {
    const done = [plural(this.cycles, "cycle"), plural(this.#steps, "step"), `${formatBytes(this.#bytes)} written`];
    return `watched: ${done.join(", ")}`;
  }

  /** The last line of JSON: how the session stood after the last apply, and the sums of all. Undefined without one. */
  line(exitCode: number): Line | undefined {
    const last = this.#last;
    if (last === undefined) return undefined;
    return {
      ...summaryLine("summary", last, exitCode),
      ...this.#counters,
      cycles: this.cycles,
      steps: this.#steps,
      writtenBytes: this.#bytes,
      durationMs: Math.round(performance.now() - this.#startedMs),
    };
  }
}

/** `12:03:07  ~3 +1 →1  4.2 kB  3 calls  86 ms  a.txt, b.txt, old -> new, and 2 more`; calls only where there are any. */
function cycleLine(report: ApplyReport, latencyMs: number, now: Date): string {
  const applied = appliedSteps(report);
  const counts = countSteps(applied);
  const undone = report.outcomes.length - applied.length;
  const what = [
    ...signs.flatMap(([kind, sign]) => (counts[kind] > 0 ? [`${sign}${counts[kind]}`] : [])),
    ...(undone > 0 ? [`!${undone}`] : []),
  ];
  const { requests } = report.counters;
  const calls = requests === 0 ? [] : [plural(requests, "call")];
  const time = now.toTimeString().slice(0, 8);
  const facts = [time, what.join(" "), formatBytes(writtenBytes(report)), ...calls, formatDuration(latencyMs)];
  return [...facts, namesOf(report.outcomes.map(({ step }) => step))].join("  ");
}

/** Names are looked for in a line: three of them, of files rather than of their directories, the rest counted. */
const MOST_NAMES = 3;

function namesOf(steps: readonly Step[]): string {
  const isDirectory = (step: Step) =>
    step.op === "create-directory" || (step.op === "delete" && step.before.kind === "directory");
  const files = steps.filter((step) => !isDirectory(step));
  const names = (files.length > 0 ? files : steps).map((step) =>
    step.op === "move"
      ? `${printable(step.from)} -> ${printable(step.to)}`
      : `${printable(step.path)}${isDirectory(step) ? "/" : ""}`,
  );
  const shown = [...new Set(names)].toSorted(comparePaths);
  const more = shown.length - MOST_NAMES;
  return [...shown.slice(0, MOST_NAMES), ...(more > 0 ? [`and ${more} more`] : [])].join(", ");
}

/** In the order in which they are shown. */
const signs = [
  ["write", "~"],
  ["create", "+"],
  ["move", "→"],
  ["mode", "±"],
  ["delete", "-"],
] as const;

const remarks: Readonly<Record<string, string>> = {
  manifest: "watching on with the last manifest that was right",
  source: "what it last gave stays in the session",
  guard: "nothing of that is deleted; everything else goes on",
};

function showProblem(console: Console, event: Extract<WatchEvent, { type: "problem" }>): void {
  const { about, retryMs } = event;
  const error = localFault(event.error) ?? event.error;
  const remark = remarks[about];
  if (error instanceof ManifestError && about === "manifest") {
    console.explain(error);
    if (remark !== undefined) console.say(remark);
    return;
  }
  if (error instanceof ManifestError) {
    // A template is no manifest: its places are told, one a line.
    for (const { file, line, column, message } of error.problems) {
      console.warn(`${file}:${line}:${column}: ${message}; ${remark}`);
    }
    return;
  }
  const hint = error instanceof AgbSyncError && error.hint !== undefined ? [error.hint] : [];
  const next = retryMs === undefined ? [] : [`trying again in ${formatDuration(retryMs)}, and on`];
  console.warn([headlineOf(error), ...hint, ...(remark === undefined ? [] : [remark]), ...next].join("; "));
}

function whatDrifted({ after }: Drift): "deleted" | "changed" {
  return after === undefined ? "deleted" : "changed";
}

function appliedSteps(report: ApplyReport) {
  return report.outcomes.filter(({ result }) => result.status === "applied").map(({ step }) => step);
}

function writtenBytes(report: ApplyReport): number {
  return appliedSteps(report).reduce((sum, step) => sum + (step.op === "write" ? step.sizeBytes : 0), 0);
}
