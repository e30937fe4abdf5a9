import { randomUUID } from "node:crypto";
import { hostname, userInfo } from "node:os";
import type { CommitResult, Engine, LockRequest, StepResult } from "../engine/engine.ts";
import { hasCode, TransportError, UsageError } from "../errors.ts";
import { forSession } from "../manifest/for-session.ts";
import type { Manifest, RunSpec } from "../manifest/manifest.ts";
import { pathsOf } from "../plan/order-steps.ts";
import type { ApplyReport } from "../report.ts";
import { runCommands } from "../run/run-commands.ts";
import type { Session } from "../session.ts";
import type { Digest } from "../tree/digest.ts";
import type { WorkspacePath } from "../tree/workspace-path.ts";
import { comparePaths } from "../tree/workspace-path.ts";
import { foundDigest } from "./found-digest.ts";
import { tooManyDeletions } from "./guards.ts";
import { CANNOT_RUN, makePlan } from "./make-plan.ts";
import { OwedRecord } from "./owed-record.ts";
import { phases } from "./phases.ts";
import type { Planned } from "./planned.ts";
import { headerAfter, owedOnceApplied } from "./planned.ts";
import type { ReconcileOptions } from "./reconcile-options.ts";

const DEFAULT_LOCK_TIMEOUT_MS = 10_000;

/** How often an apply plans again when another one got in between. */
const MAX_ROUNDS = 5;

/** For a last look at what is there when the signal has come. */
const LOOK_MS = 10_000;

const nothingDone: CommitResult = { results: [], verified: true, backupPath: undefined };

/**
 * Carries a plan out and says what became of every step; never decides anew.
 * @throws {GuardError} before any mutation when the plan deletes too much.
 * @throws {TransportError} `STALE_PLAN` when somebody else's apply came in between, `LOCKED`, or a lost session.
 */
export async function applyPlan(planned: Planned, given: Manifest, options: ReconcileOptions): Promise<ApplyReport> {
  const startedMs = performance.now();
  const { plan, desired, workspace } = planned;
  const manifest = forSession(given, plan.sessionId);
  const guard = tooManyDeletions(plan, planned.actual, planned.base, options);
  if (guard !== undefined) throw guard;
  const wanted = commandsNamed(options.run ?? [], manifest);
  const runsCommands = manifest.run.length > 0 && options.runCommands !== false;
  if (runsCommands && !(await workspace.transport.features(options.signal)).shell) {
    throw new TransportError("NOT_POSSIBLE_HERE", CANNOT_RUN, {
      hint: "use an image with a shell, or leave run: out; nothing was changed",
    });
  }
  const committed = planned.isSettled ? nothingDone : await commit(planned, manifest, options);
  for (const message of committed.warnings ?? []) options.onEvent?.({ type: "notice", level: "warning", message });
  const late = committed.results.flatMap((result) => (result.status === "conflict" ? [result.conflict] : []));
  const report: ApplyReport = {
    sessionId: plan.sessionId,
    root: plan.root,
    plan,
    strategy: planned.strategy,
    strategyReason: planned.strategyReason,
    outcomes: plan.steps.map(({ step }, index) => ({
      step,
      result: committed.results[index] ?? { status: "skipped", reason: "not reached" },
    })),
    conflicts: [...plan.conflicts, ...late].toSorted((one, other) => comparePaths(one.path, other.path)),
    unreadable: desired.unreadable,
    verified: committed.verified && plan.kept.length === 0,
    workspaceDigest: await digestAfter(planned, committed.results, options.signal),
    kept: plan.kept,
    backupPath: committed.backupPath,
    commands: [],
    owed: owedOnceApplied(planned, committed.results),
    counters: { ...workspace.transport.counters },
    durationMs: performance.now() - startedMs,
  };
  if (options.signal.aborted) return report;
  if (!runsCommands || !isComplete(report)) return report;
  const due = [...report.owed, ...wanted];
  const ran = await phases(options, workspace)("run", () => runDue(planned, manifest, options, committed.results, due));
  return { ...report, ...ran, durationMs: performance.now() - startedMs };
}

/** What is there when all went well is what was declared: only otherwise it has to be looked at. */
async function digestAfter(planned: Planned, results: readonly StepResult[], signal: AbortSignal): Promise<Digest> {
  const { plan, desired } = planned;
  const left = plan.conflicts.length + plan.unsupported.length + plan.kept.length + plan.waiting.length;
  const isDone = left === 0 && results.every(({ status }) => status === "applied");
  const hasSeeds = [...desired.policies.values()].some(({ seedOnly }) => seedOnly);
  if (isDone && !hasSeeds) return desired.digest;
  return await foundDigest(planned, signal.aborted ? AbortSignal.timeout(LOOK_MS) : signal, results);
}

/** Runs what is due, in order, and keeps base in step: what has not ended well is owed (S40). */
async function runDue(
  planned: Planned,
  manifest: Manifest,
  options: ReconcileOptions,
  results: readonly StepResult[],
  due: readonly RunSpec[],
): Promise<Pick<ApplyReport, "commands" | "owed" | "recorded">> {
  const record = new OwedRecord(planned, results, engineOf(planned), lockRequest(manifest, options));
  const isDue = (spec: RunSpec) => spec.onChange.length === 0 || due.includes(spec);
  const done = new Set<RunSpec>();
  const commands = await runCommands(manifest.run, planned.workspace.transport, {
    changed: [],
    isOwed: isDue,
    onDone: async (spec) => {
      done.add(spec);
      await record.strikeOut(spec);
    },
    ...(options.onEvent === undefined ? {} : { onEvent: options.onEvent }),
    signal: options.signal,
  });
  const owed = manifest.run.filter((spec) => isDue(spec) && !done.has(spec));
  if (owed.length > 0) await record.add(owed);
  return { commands, owed, recorded: record.recorded };
}

/** @throws {UsageError} for a name that no command has. */
function commandsNamed(names: readonly string[], manifest: Manifest): readonly RunSpec[] {
  return names.flatMap((wanted) => {
    const found = manifest.run.filter(({ name, command }) => wanted === (name ?? command));
    if (found.length > 0) return found;
    const known = manifest.run.map(({ name, command }) => JSON.stringify(name ?? command)).join(", ");
    throw new UsageError(`no command of ${manifest.file} is named ${JSON.stringify(wanted)}`, {
      hint: known === "" ? "there is no run: in it" : `its commands are ${known}`,
    });
  });
}

/** Plan, then apply; plans again when another apply changed the workspace in between. */
export async function apply(manifest: Manifest, session: Session, options: ReconcileOptions): Promise<ApplyReport> {
  for (let round = 1; ; round += 1) {
    const planned = await makePlan(manifest, session, options);
    try {
      return await applyPlan(planned, manifest, options);
    } catch (error) {
      if (!mayPlanAgain(error, round)) throw error;
    }
  }
}

/** Another apply got in between, which a new plan takes into account; `round` is that of the plan, from 1. */
export function mayPlanAgain(error: unknown, round: number): boolean {
  return hasCode(error, "STALE_PLAN") && round < MAX_ROUNDS;
}

/** Every step was applied and nothing was left in conflict: what `run:` waits for. */
export function isComplete(report: ApplyReport): boolean {
  const isApplied = report.outcomes.every(({ result }) => result.status === "applied");
  const left = report.conflicts.length + report.plan.unsupported.length + report.unreadable.length;
  return isApplied && (report.verified || report.kept.length > 0) && left === 0;
}

/** The paths that an apply changed, where they came from and where they went. */
export function changedPaths(report: ApplyReport): readonly WorkspacePath[] {
  return report.outcomes.flatMap(({ step, result }) => (result.status === "applied" ? pathsOf(step) : []));
}

async function commit(planned: Planned, manifest: Manifest, options: ReconcileOptions): Promise<CommitResult> {
  const { plan, desired, workspace, recovered, baseChanges } = planned;
  const onStep = (index: number, result: StepResult) => {
    const step = plan.steps[index]?.step;
    if (step !== undefined) options.onEvent?.({ type: "step", index, total: plan.steps.length, step, result });
  };
  const phase = phases(options, workspace);
  return await phase("commit", () =>
    engineOf(planned).commit(
      {
        applyId: randomUUID(),
        steps: plan.steps,
        contents: desired.contents,
        baseGeneration: planned.base.generation,
        recovered,
        baseChanges,
        headerAfter: (results) => headerAfter(planned, results),
        rootExists: planned.rootExists,
        backup: options.backup ?? true,
        lock: lockRequest(manifest, options),
        onStep,
        onBytes: (doneBytes, totalBytes) =>
          options.onEvent?.({ type: "bytes", phase: "deliver", doneBytes, totalBytes }),
      },
      options.signal,
    ),
  );
}

function engineOf({ strategy, workspace }: Planned): Engine {
  return strategy === "batch" && workspace.batch !== undefined ? workspace.batch : workspace.steps;
}

function lockRequest(manifest: Manifest, { lockTimeoutMs = DEFAULT_LOCK_TIMEOUT_MS }: ReconcileOptions): LockRequest {
  return { owner: lockOwner(manifest), timeoutMs: lockTimeoutMs };
}

function lockOwner(manifest: Manifest): string {
  return `${userName()}@${hostname()} (process ${process.pid}, ${manifest.file})`;
}

/** For people only. In a container a user often has a number and no name (`docker run --user`). */
function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return `user ${process.getuid?.() ?? "unknown"}`;
  }
}
