import { resolve } from "node:path";
import { findManifest } from "../../desired/load-manifest.ts";
import { AgbSyncError } from "../../errors.ts";
import type { Manifest } from "../../manifest/manifest.ts";
import { ManifestError } from "../../manifest/manifest-error.ts";
import type { ApplyReport } from "../../report.ts";
import type { Session } from "../../session.ts";
import { printable } from "../../tree/printable.ts";
import type { WatchEvent } from "../../watch/watch.ts";
import { watch } from "../../watch/watch.ts";
import type { CommonOptions, Context } from "../context.ts";
import { duration } from "../context.ts";
import type { Line } from "../events.ts";
import { problemLine, summaryLine } from "../events.ts";
import { exitCodes } from "../exit-code.ts";
import { localFault } from "../local-fault.ts";
import { plural } from "../plural.ts";
import { countSteps, describeConflict, describeStep, formatBytes, formatDuration } from "../render-plan.ts";
import { isIncomplete, renderReport } from "../render-report.ts";

type Options = CommonOptions & {
  readonly debounce?: string;
  readonly rescan?: string;
  readonly poll?: string | true;
  readonly onceReadyExit?: boolean;
  readonly renew?: boolean;
};

/** A session is kept alive this often, well inside the default idle time of five minutes. */
const KEEP_ALIVE_MS = 120_000;
const DEFAULT_POLL = "1s";

/** Applies, then mirrors local changes until a signal comes. */
export async function run(context: Context, given?: string, own: Options = {}): Promise<number> {
  const { manifest: path, options } = context.sortOut(given, own);
  const { console } = context;
  context.listenForSignals();
  context.endWithReader();
  context.whenInterrupted = "what was applied so far is recorded, apply again to finish";
  const progress = context.progress(options);
  const totals = { cycles: 0, steps: 0, bytes: 0 };
  const keepAlive = new KeepAlive(context.signal);
  const events = watch({
    ...context.reconcileOptions(options, progress.onEvent),
    loadManifest: (sessionId) => context.loadManifest(path, sessionId),
    ...(path === "-" ? {} : { manifestFile: resolve(context.cwd, findManifest(path, context.cwd)) }),
    connect: async (manifest, mustBeNew) =>
      keepAlive.of(await connect(context, manifest, options, mustBeNew), manifest),
    ...(own.debounce === undefined ? {} : { debounceMs: duration("--debounce", own.debounce) }),
    ...(own.rescan === undefined ? {} : { rescanMs: own.rescan === "0" ? 0 : duration("--rescan", own.rescan) }),
    ...(own.poll === undefined ? {} : { pollMs: duration("--poll", own.poll === true ? DEFAULT_POLL : own.poll) }),
    renew: own.renew ?? false,
  });
  try {
    for await (const event of events) {
      progress.clear();
      if (event.type === "cycle") {
        totals.cycles += 1;
        totals.steps += event.report.outcomes.length;
        totals.bytes += writtenBytes(event.report);
      }
      if (options.json === true) console.printEvent(watchLine(event));
      else show(context, event);
      if (event.type === "ready" && own.onceReadyExit === true) {
        return isIncomplete(event.report) ? exitCodes.failed : exitCodes.done;
      }
    }
  } finally {
    keepAlive.stop();
    progress.clear();
  }
  const done = [plural(totals.cycles, "cycle"), plural(totals.steps, "step"), `${formatBytes(totals.bytes)} written`];
  console.say(`watched: ${done.join(", ")}`);
  return context.interruptCode ?? exitCodes.done;
}

async function connect(
  context: Context,
  manifest: Manifest,
  options: CommonOptions,
  mustBeNew: boolean,
): Promise<Session> {
  if (!mustBeNew) return await context.connect(manifest, options, true);
  const { session: _gone, ...others } = options;
  return await context.connect(manifest, others, true);
}

/** Pushes the idle release away for as long as watch runs (W21). */
class KeepAlive {
  readonly #signal: AbortSignal;
  #timer: NodeJS.Timeout | undefined;

  constructor(signal: AbortSignal) {
    this.#signal = signal;
  }

  of(session: Session, manifest: Manifest): Session {
    this.stop();
    const everyMs = Math.min(KEEP_ALIVE_MS, (manifest.session?.idleTimeoutMs ?? Number.POSITIVE_INFINITY) / 2);
    // A call that fails is no news: the next apply finds out and says so.
    this.#timer = setInterval(() => void session.keepAlive(this.#signal).catch(() => undefined), everyMs);
    this.#timer.unref();
    return session;
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}

function show(context: Context, event: WatchEvent): void {
  const { console } = context;
  switch (event.type) {
    case "ready":
      console.print(renderReport(event.report, console.ink));
      console.print(`Ready: watching for changes, session ${printable(event.sessionId)}. Ctrl-C ends.`);
      return;
    case "cycle": {
      const { report } = event;
      if (report.outcomes.length > 0) console.print(cycleLine(report, event.latencyMs, new Date()));
      if (console.isVerbose) for (const { step } of report.outcomes) console.print(`          ${describeStep(step)}`);
      for (const conflict of event.newConflicts) console.warn(`conflict ${describeConflict(conflict).slice(2)}`);
      for (const { step, result } of report.outcomes) {
        if (result.status === "failed")
          console.warn(`failed ${describeStep(step)}: ${printable(result.error.message)}`);
      }
      return;
    }
    case "problem": {
      if (event.error instanceof ManifestError) {
        console.explain(event.error);
        console.say("watching on with the last manifest that was right");
        return;
      }
      const error = localFault(event.error) ?? event.error;
      const hint = error instanceof AgbSyncError && error.hint !== undefined ? `; ${error.hint}` : "";
      const next = event.retryMs === undefined ? "" : `; trying again in ${formatDuration(event.retryMs)}`;
      console.warn(`${error.message}${hint}${next}`);
      return;
    }
    case "recovered":
      console.say("going on");
      return;
    case "renewed":
      console.print(`New session ${printable(event.sessionId)}: filling it.`);
      return;
  }
}

const signs: Readonly<Record<string, string>> = { write: "~", create: "+", move: "→", mode: "±", delete: "-" };

/** `12:03:07  ~3 +1 →1  4.2 kB  86 ms` */
export function cycleLine(report: ApplyReport, latencyMs: number, now: Date): string {
  const applied = report.outcomes.filter(({ result }) => result.status === "applied").map(({ step }) => step);
  const counts = Object.entries(countSteps(applied)).filter(([, count]) => count > 0);
  const what = counts.map(([kind, count]) => `${signs[kind] ?? kind}${count}`).join(" ");
  const undone = report.outcomes.length - applied.length;
  const time = now.toTimeString().slice(0, 8);
  return `${time}  ${what}${undone > 0 ? ` !${undone}` : ""}  ${formatBytes(writtenBytes(report))}  ${formatDuration(latencyMs)}`;
}

function writtenBytes(report: ApplyReport): number {
  return report.outcomes.reduce(
    (sum, { step, result }) => sum + (step.op === "write" && result.status === "applied" ? step.sizeBytes : 0),
    0,
  );
}

function watchLine(event: WatchEvent): Line {
  switch (event.type) {
    case "ready":
      return summaryLine("ready", event.report, exitCodes.done);
    case "cycle":
      return summaryLine("cycle", event.report, exitCodes.done);
    case "problem":
      return problemLine(localFault(event.error) ?? event.error, event.retryMs);
    case "recovered":
      return { type: "recovered" };
    case "renewed":
      return { type: "renewed", sessionId: event.sessionId };
  }
}
