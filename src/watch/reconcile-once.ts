import type { Clock } from "../clock.ts";
import type { Desired } from "../desired/desired.ts";
import { AgbSyncError } from "../errors.ts";
import type { Manifest } from "../manifest/manifest.ts";
import { deletedPaths } from "../plan/check-guards.ts";
import { pathsOf } from "../plan/order-steps.ts";
import { applyPlan, changedPaths, isComplete } from "../reconcile/apply-plan.ts";
import { driftBetween } from "../reconcile/drift.ts";
import { makePlan } from "../reconcile/make-plan.ts";
import type { Known, Planned } from "../reconcile/planned.ts";
import type { ReconcileOptions } from "../reconcile/reconcile-options.ts";
import type { ApplyReport } from "../report.ts";
import { LEAVE_MS } from "../run/run-commands.ts";
import type { Session } from "../session.ts";
import type { Counters } from "../transport/transport.ts";
import type { Tree } from "../tree/entry.ts";
import type { WorkspacePath } from "../tree/workspace-path.ts";
import type { CommandRunner } from "./command-runner.ts";
import { changedBefore, knownAfter } from "./known-after.ts";
import type { Teller } from "./teller.ts";
import type { UnsettledFiles } from "./unsettled-files.ts";
import type { WatchEvent } from "./watch-event.ts";
import type { WatchOptions } from "./watch-options.ts";

export type Round = {
  readonly options: WatchOptions;
  readonly session: Session;
  readonly manifest: Manifest;
  readonly desired: Desired;
  /** Where that is something else than in the round before; undefined: anywhere. */
  readonly changed: ReadonlySet<WorkspacePath> | undefined;
  /** What the session holds; undefined: it is asked. */
  readonly known: Known | undefined;
  /** What it held when it was last known, if nothing happened since. */
  readonly resting: Known | undefined;
  readonly isReady: boolean;
  /** This session was compared as a whole before. */
  readonly hasScanned: boolean;
  /** Files that the rounds just before have deleted. */
  readonly deletedBefore: number;
  /** When the first hint came at what is to be applied. */
  readonly pendingMs: number;
  readonly clock: Clock;
  readonly teller: Teller;
  readonly commands: CommandRunner;
  readonly unsettled: UnsettledFiles;
  /** Told when an apply begins and when it has ended well or badly, but not when it was broken off. */
  readonly onApply: (isUnderWay: boolean) => void;
};

/** How a round ended. */
export type RoundEnd = {
  readonly known: Known | undefined;
  /** Everything that was desired is there and verified, conflicts apart. */
  readonly isComplete: boolean;
  readonly isReady: boolean;
  /** Files that were deleted, and went nowhere else, of what was there. */
  readonly deleted: { readonly paths: readonly WorkspacePath[]; readonly actual: Tree };
  /** What is to come: nothing, another round in a moment, or one after a growing pause. */
  readonly next: "rest" | "soon" | "later";
};

/** One plan from what is known and, if that says so, one apply; with all that there is to tell about them. */
export async function* reconcileOnce(round: Round): AsyncGenerator<WatchEvent, RoundEnd, undefined> {
  const { session, manifest, teller, clock } = round;
  const heldBack = new Map<string, Error>();
  const done = round.commands.done;
  const settings = settingsOf(round, heldBack, done);
  const before = { ...session.openWorkspace(manifest.root).transport.counters };
  const known = round.known === undefined ? undefined : { ...round.known, changed: round.changed };
  const planned = await makePlan(manifest, session, settings, known);
  yield* teller.problems("guard", heldBack);
  yield* teller.warnings("plan", planned.plan.warnings);
  if (round.known === undefined && round.hasScanned && planned.isUnchanged !== true) {
    yield* teller.drift(driftBetween(planned.base, planned.actual, manifest));
  }
  const report = await carryOut(round, planned, settings);
  const end = endOf(round, planned, report);
  if (end.known !== undefined) round.commands.struckOut(done);
  yield* teller.warnings("commands", settleCommands(round, planned, report));
  const counted = { ...report, counters: difference(report.counters, before) };
  const newConflicts = teller.newConflicts(report.conflicts);
  const newFailures = teller.newFailures(report.outcomes.filter(({ result }) => changedBefore(result) === undefined));
  const hasApplied = report.outcomes.some(({ result }) => result.status === "applied");
  if (end.isReady && !round.isReady) yield { type: "ready", report: counted, sessionId: session.id };
  else if (hasApplied || newConflicts.length + newFailures.length > 0) {
    yield { type: "cycle", report: counted, latencyMs: clock.now() - round.pendingMs, newConflicts, newFailures };
  }
  if (round.options.signal.aborted && end.known === undefined) yield { type: "interrupted" };
  return end;
}

function settingsOf(round: Round, heldBack: Map<string, Error>, commandsDone: ReadonlySet<string>): ReconcileOptions {
  const { options, desired, isReady, resting } = round;
  return {
    ...options,
    sources: Promise.resolve(desired),
    // A session that is only asked whether everything is as it was may answer in one word.
    fullScan: resting === undefined,
    runCommands: !isReady,
    deletedBefore: round.deletedBefore,
    commandsDone,
    ...(isReady ? { onHeldBack: (error: Error) => heldBack.set(error.message, error) } : {}),
  };
}

async function carryOut(round: Round, planned: Planned, settings: ReconcileOptions): Promise<ApplyReport> {
  const { manifest, commands, onApply, options } = round;
  const paths = planned.plan.steps.flatMap(({ step }) => pathsOf(step));
  if (paths.length > 0) await commands.makeWay(manifest.run, paths);
  try {
    onApply(paths.length > 0);
    const report = await unlessLeft(applyPlan(planned, manifest, settings), options.signal);
    onApply(false);
    return report;
  } catch (error) {
    if (!options.signal.aborted) onApply(false);
    throw error;
  } finally {
    commands.goOn();
  }
}

/** What `work` gives; once the signal aborts it has a moment to say what was done, and is given up then (W28). */
async function unlessLeft<Result>(work: Promise<Result>, signal: AbortSignal): Promise<Result> {
  let timer: NodeJS.Timeout | undefined;
  let leave = (): void => undefined;
  const left = new Promise<never>((_resolve, reject) => {
    leave = () => {
      timer = setTimeout(
        () => reject(new AgbSyncError("ABORTED", "the session did not say in time what was done")),
        LEAVE_MS,
      );
    };
  });
  signal.addEventListener("abort", leave);
  try {
    return await Promise.race([work, left]);
  } finally {
    signal.removeEventListener("abort", leave);
    clearTimeout(timer);
  }
}

function endOf(round: Round, planned: Planned, report: ApplyReport): RoundEnd {
  const known = planned.isUnchanged === true ? round.resting : knownAfter(planned, report);
  const changed = report.outcomes.flatMap(({ result }) => changedBefore(result) ?? []);
  for (const path of changed) round.unsettled.hold(path);
  const isComplete = known !== undefined && changed.length === 0;
  // Steps that wait for the one whose source changed are skipped with it: all of them are due soon.
  const next = isComplete ? "rest" : changed.length > 0 ? "soon" : "later";
  return {
    known,
    isComplete,
    isReady: round.isReady || isComplete,
    deleted: { paths: deletedPaths(planned.plan), actual: planned.actual },
    next,
  };
}

/** Why commands have to wait, if they do. Those of the first apply were run by it, if it was complete. */
function settleCommands(round: Round, planned: Planned, report: ApplyReport): readonly string[] {
  const { manifest, commands, isReady } = round;
  if (!isReady && isComplete(report)) {
    commands.adopt(report.owed);
    return [];
  }
  const { transport } = planned.workspace;
  if (!isReady) commands.note(manifest.run, changedPaths(report));
  const reason = commands.settle(manifest.run, transport, report);
  return reason === undefined ? [] : [reason];
}

function difference(after: Readonly<Counters>, before: Readonly<Counters>): Counters {
  return {
    requests: after.requests - before.requests,
    bytesSent: after.bytesSent - before.bytesSent,
    bytesReceived: after.bytesReceived - before.bytesReceived,
    retries: after.retries - before.retries,
  };
}
