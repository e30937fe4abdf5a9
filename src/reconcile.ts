import { randomUUID } from "node:crypto";
import { hostname, userInfo } from "node:os";
import type { CommitResult, Engine, ScanRequest, ScanResult, StepResult } from "./apply/engine.ts";
import { estimateRequests } from "./apply/estimate-requests.ts";
import { unwritableContents } from "./apply/unwritable-contents.ts";
import type { Desired } from "./desired/desired.ts";
import { ignoreMatcher } from "./desired/ignore-matcher.ts";
import { readSources } from "./desired/read-sources.ts";
import type { AgbSyncError } from "./errors.ts";
import { GuardError, hasCode, TransportError } from "./errors.ts";
import type { ConflictRule, Manifest } from "./manifest/manifest.ts";
import type { PlanInput } from "./plan/build-plan.ts";
import { buildPlan } from "./plan/build-plan.ts";
import { checkDeletions, parseDeleteLimit } from "./plan/check-guards.ts";
import { holdBack } from "./plan/hold-back.ts";
import type { Trees } from "./plan/narrow.ts";
import { narrow } from "./plan/narrow.ts";
import type { Plan } from "./plan/plan.ts";
import { pruneRuleFor } from "./plan/policy.ts";
import { possibleHere } from "./plan/possible-here.ts";
import type { Phase, ProgressListener } from "./progress.ts";
import type { ApplyReport } from "./report.ts";
import { runCommands } from "./run/run-commands.ts";
import type { Session, Workspace } from "./session.ts";
import { pruneBackups } from "./state/backups.ts";
import type { Base, BaseChange } from "./state/base.ts";
import { emptyBase } from "./state/base.ts";
import type { Digest } from "./tree/digest.ts";
import type { Entry, Tree } from "./tree/entry.ts";
import { sameContent, sameMode } from "./tree/entry.ts";
import { covers } from "./tree/path-set.ts";
import type { WorkspacePath } from "./tree/workspace-path.ts";
import { comparePaths, isBelow } from "./tree/workspace-path.ts";

/** How to reconcile; everything but the signal has the default that the manifest or the product gives. */
export type ReconcileOptions = {
  readonly strategy?: "auto" | "steps" | "batch";
  /** Beats the manifest's rule, but not an entry's own. */
  readonly onConflict?: ConflictRule;
  /** Default true: a deletion and a creation of the same bytes are one rename. */
  readonly detectMoves?: boolean;
  /** Believe no index: hash everything again. */
  readonly checksum?: boolean;
  readonly allowMassDelete?: boolean;
  /** `10` or `10%`. */
  readonly maxDelete?: string;
  /** Default true: foreign bytes that are replaced or deleted go to the backup first. */
  readonly backup?: boolean;
  /** How long to wait for somebody else's lock. Default 10 s. */
  readonly lockTimeoutMs?: number;
  /** The sources, when reading them was begun before there was a session, or is done by others. */
  readonly sources?: Promise<Desired>;
  /**
   * Told of a source that is suddenly empty or missing (S12) and of too many deletions (S14) instead of being stopped by
   * them; the deletions in question are left out of the plan.
   */
  readonly onHeldBack?: (error: AgbSyncError) => void;
  /** The whole tree is wanted even when the session already is as declared. */
  readonly fullScan?: boolean;
  /** Default true: the manifest's commands run after a complete apply. */
  readonly runCommands?: boolean;
  readonly onEvent?: ProgressListener;
  readonly signal: AbortSignal;
};

/** A plan together with what apply needs to carry it out. */
export type Planned = {
  readonly plan: Plan;
  readonly desired: Desired;
  readonly workspace: Workspace;
  readonly strategy: Engine["strategy"];
  /** Why that strategy was taken, in one clause. */
  readonly strategyReason: string;
  readonly actual: Tree;
  readonly base: Base;
  /** Directories in which the scan saw something ignored. */
  readonly held?: ReadonlySet<WorkspacePath> | undefined;
  readonly baseChanges: readonly BaseChange[];
  readonly rootExists: boolean;
  /** The plan does not lead to everything that is declared: base must not say that it did. */
  readonly isPartial?: boolean;
  /** Nothing differs and the session already records it: apply has nothing to send. */
  readonly isSettled: boolean;
  /** Deletions were left out of the plan because a guard is against them. */
  readonly isGuarded?: boolean;
  /** The session itself said that nothing differs: `actual` is what is desired, and `base` was not fetched. */
  readonly isUnchanged?: boolean;
  /** The session's bytes at a path, for `--diff`. */
  readActual(path: WorkspacePath): AsyncIterable<Uint8Array>;
};

const DEFAULT_LOCK_TIMEOUT_MS = 10_000;
/** What the session is known to hold without asking it: the result of an earlier scan and the commits since. */
export type Known = {
  readonly actual: Tree;
  readonly base: Base;
  /** Directories in which the scan saw something ignored. */
  readonly held: ReadonlySet<WorkspacePath> | undefined;
  readonly strategy: Engine["strategy"];
  /** Paths that the plan before left open; undefined when it held something back. */
  readonly open: ReadonlySet<WorkspacePath> | undefined;
  /** The only paths that are desired otherwise than in the plan before; undefined when nobody knows. */
  readonly changed?: ReadonlySet<WorkspacePath> | undefined;
};

const CANNOT_RUN = "the commands of run: cannot be run: the session has no shell tool";

/** How often an apply plans again when another one got in between. */
const MAX_REPLANS = 5;

/** Everything up to, and not including, the first write in the session (S16). */
export async function makePlan(
  manifest: Manifest,
  session: Session,
  options: ReconcileOptions,
  known?: Known,
): Promise<Planned> {
  const workspace = session.openWorkspace(manifest.root);
  const { transport } = workspace;
  const phase = phases(options, workspace);
  const early =
    session.origin === "created" && known === undefined
      ? phase("scan", () => firstLook(workspace, options))
      : undefined;
  // It is awaited below, unless the sources fail first.
  early?.catch(() => undefined);
  const [desired, features] = await Promise.all([
    phase("sources", () => options.sources ?? readLocalSources(manifest, options)),
    transport.features(options.signal),
  ]);
  const isIgnored = ignoreMatcher(manifest.ignore);
  const pruneRule = (path: WorkspacePath) => pruneRuleFor(path, desired.pruneScopes, manifest.prune);
  const needsUnmanaged = manifest.prune === "all" || desired.pruneScopes.some(({ rule }) => rule === "all");
  const request: ScanRequest = {
    isIgnored,
    ignorePatterns: manifest.ignore,
    expected: needsWholeTree(manifest, options) ? undefined : desired.digest,
    wanted: known === undefined ? wantedFiles(desired.tree) : new Map(),
    needsUnmanaged,
    checksum: options.checksum ?? false,
  };
  const scanned =
    known === undefined
      ? ((await early) ??
        (await phase("scan", () => scanWith(workspace, options.strategy ?? "auto", request, options.signal))))
      : fromMemory(workspace, known);
  const { scan, engine, reason } = scanned;
  if (scan.kind === "unchanged") return unchanged(workspace, desired, engine, reason);

  const base = scan.base ?? emptyBase(session.id, manifest.root);
  const emptied = emptiedTrees(desired, base, options);
  const heldBack = new Set([...desired.held, ...emptied]);
  const isSimple = !needsUnmanaged && manifest.absent.length + manifest.moves.length + emptied.length === 0;
  const only = known?.open === undefined || known.changed === undefined ? [] : [...known.changed, ...known.open];
  const whole: Trees = { desired: desired.tree, actual: scan.actual, base };
  // Everything else was planned and carried out before.
  const trees = isSimple && known?.open !== undefined && known.changed !== undefined ? narrow(whole, only) : whole;
  const unwritable = features.binary
    ? new Set<Digest>()
    : await phase("sources", () => unwritableContents(desired.contents));
  const input: PlanInput = {
    ...holdBack(heldBack, trees.desired, trees.actual, trees.base),
    sessionId: session.id,
    root: manifest.root,
    desired: trees.desired,
    desiredDigest: desired.digest,
    policies: desired.policies,
    absent: manifest.absent.map(({ path }) => path),
    moves: manifest.moves,
    onConflict: options.onConflict ?? manifest.onConflict,
    pruneRule,
    isIgnored: (path) => isIgnored(path, scan.actual.get(path)?.kind === "directory") || covers(desired.leftOut, path),
    ...(scan.held === undefined ? {} : { held: scan.held }),
    detectMoves: options.detectMoves ?? true,
    allowDeletes: desired.unreadable.length === 0,
    unsupported: possibleHere(features, unwritable, desired.tree.keys()),
    warnings: [
      ...desired.warnings,
      ...scan.warnings,
      ...unreadableWarnings(desired),
      ...modeWarnings(desired, features.modes),
      ...(manifest.run.length > 0 && !features.shell ? [CANNOT_RUN] : []),
    ],
  };
  const tried = buildPlan(input);
  const guard = options.onHeldBack === undefined ? undefined : tooManyDeletions(tried.plan, scan.actual, options);
  if (guard !== undefined) options.onHeldBack?.(guard);
  const { plan, baseChanges } = guard === undefined ? tried : buildPlan({ ...input, allowDeletes: false });
  const seeds = plan.steps.flatMap(({ step }) =>
    step.op === "write" && desired.policies.get(step.path)?.seedOnly ? [{ path: step.path, after: undefined }] : [],
  );
  const isClean = plan.conflicts.length + plan.unsupported.length === 0;
  const isPartial = heldBack.size > 0 || guard !== undefined;
  const isRecorded =
    isPartial || base.desiredDigest === (isClean ? desired.digest : undefined) || base.desiredDigest === undefined;
  return {
    plan,
    desired,
    workspace,
    strategy: engine.strategy,
    strategyReason: engine.strategy === "batch" && plan.steps.length > 0 ? `${reason}; ${costOf(plan)}` : reason,
    actual: scan.actual,
    base,
    held: scan.held,
    baseChanges: [...baseChanges, ...seeds],
    rootExists: scan.rootExists,
    isPartial,
    isGuarded: emptied.length > 0 || guard !== undefined,
    isSettled:
      plan.steps.length === 0 && baseChanges.length === 0 && isRecorded && (scan.base !== undefined || !isClean),
    readActual: (path) => transport.readFile(path, options.signal),
  };
}

/**
 * Carries a plan out and says what became of every step; never decides anew.
 * @throws {GuardError} before any mutation when the plan deletes too much.
 * @throws {TransportError} `STALE_PLAN` when somebody else's apply came in between, `LOCKED`, or a lost session.
 */
export async function applyPlan(planned: Planned, manifest: Manifest, options: ReconcileOptions): Promise<ApplyReport> {
  const startedMs = performance.now();
  const { plan, desired, workspace, baseChanges } = planned;
  const guard = tooManyDeletions(plan, planned.actual, options);
  if (guard !== undefined) throw guard;
  const runsCommands = manifest.run.length > 0 && options.runCommands !== false;
  if (runsCommands && !(await workspace.transport.features(options.signal)).shell) {
    throw new TransportError("NOT_POSSIBLE_HERE", CANNOT_RUN, {
      hint: "use an image with a shell, or leave run: out; nothing was changed",
    });
  }
  const committed = planned.isSettled ? nothingDone : await commit(planned, manifest, baseChanges, options);
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
    verified: committed.verified,
    workspaceDigest: desired.digest,
    backupPath: committed.backupPath,
    commands: [],
    counters: { ...workspace.transport.counters },
    durationMs: performance.now() - startedMs,
  };
  if (options.signal.aborted) return report;
  if (report.backupPath !== undefined) await pruneBackups(workspace.transport, options.signal);
  if (!runsCommands || !isComplete(report)) return report;
  const commands = await runCommands(manifest.run, workspace.transport, {
    changed: changedPaths(report),
    ...(options.onEvent === undefined ? {} : { onEvent: options.onEvent }),
    signal: options.signal,
  });
  return { ...report, commands, durationMs: performance.now() - startedMs };
}

/** Every step was applied and nothing was left in conflict: what `run:` waits for. */
export function isComplete(report: ApplyReport): boolean {
  const isApplied = report.outcomes.every(({ result }) => result.status === "applied");
  const left = report.conflicts.length + report.plan.unsupported.length + report.unreadable.length;
  return isApplied && report.verified && left === 0;
}

/** The paths that an apply changed, where they came from and where they went. */
export function changedPaths(report: ApplyReport): readonly WorkspacePath[] {
  return report.outcomes.flatMap(({ step, result }) => {
    if (result.status !== "applied") return [];
    return step.op === "move" ? [step.from, step.to] : [step.path];
  });
}

/** Plan, then apply; plans again when another apply changed the workspace in between. */
export async function apply(manifest: Manifest, session: Session, options: ReconcileOptions): Promise<ApplyReport> {
  for (let round = 1; ; round += 1) {
    const planned = await makePlan(manifest, session, options);
    try {
      return await applyPlan(planned, manifest, options);
    } catch (error) {
      if (!hasCode(error, "STALE_PLAN") || round === MAX_REPLANS) throw error;
    }
  }
}

/** One path of base that the session no longer holds as the last apply left it. */
export type Drift = { readonly path: WorkspacePath; readonly before: Entry; readonly after: Entry | undefined };

/** What changed in the session since the last apply. Reads only. */
export async function drift(
  manifest: Manifest,
  session: Session,
  options: ReconcileOptions,
): Promise<readonly Drift[]> {
  const workspace = session.openWorkspace(manifest.root);
  const request: ScanRequest = {
    isIgnored: ignoreMatcher(manifest.ignore),
    ignorePatterns: manifest.ignore,
    expected: undefined,
    wanted: new Map(),
    needsUnmanaged: false,
    checksum: options.checksum ?? false,
  };
  const { scan } = await scanWith(workspace, options.strategy ?? "auto", request, options.signal);
  return scan.kind === "unchanged" || scan.base === undefined ? [] : driftBetween(scan.base, scan.actual, manifest);
}

/** Every path of `base` that `actual` does not hold as it was left, in path order; what is ignored by now was not looked at. */
export function driftBetween(base: Base, actual: Tree, { ignore }: Pick<Manifest, "ignore">): readonly Drift[] {
  const isIgnored = ignoreMatcher(ignore);
  const changed: Drift[] = [];
  for (const [path, { entry }] of base.entries) {
    if (isIgnored(path, entry.kind === "directory")) continue;
    const after = actual.get(path);
    if (after === undefined || !sameContent(entry, after) || !sameMode(entry, after)) {
      changed.push({ path, before: entry, after });
    }
  }
  return changed.toSorted((one, other) => comparePaths(one.path, other.path));
}

const nothingDone: CommitResult = { results: [], verified: true, backupPath: undefined };

async function commit(
  planned: Planned,
  manifest: Manifest,
  baseChanges: readonly BaseChange[],
  options: ReconcileOptions,
): Promise<CommitResult> {
  const { plan, desired, workspace } = planned;
  const engine = planned.strategy === "batch" && workspace.batch !== undefined ? workspace.batch : workspace.steps;
  const onStep = (index: number, result: StepResult) => {
    const step = plan.steps[index]?.step;
    if (step !== undefined) options.onEvent?.({ type: "step", index, total: plan.steps.length, step, result });
  };
  const phase = phases(options, workspace);
  return await phase("commit", () =>
    engine.commit(
      {
        applyId: randomUUID(),
        steps: plan.steps,
        contents: desired.contents,
        baseGeneration: planned.base.generation,
        baseChanges,
        desiredDigest: digestToRecord(planned),
        rootExists: planned.rootExists,
        backup: options.backup ?? true,
        lock: { owner: lockOwner(manifest), timeoutMs: options.lockTimeoutMs ?? DEFAULT_LOCK_TIMEOUT_MS },
        onStep,
        onBytes: (doneBytes, totalBytes) =>
          options.onEvent?.({ type: "bytes", phase: "deliver", doneBytes, totalBytes }),
      },
      options.signal,
    ),
  );
}

/** What base is to say of the declared tree after this plan: its digest, unless something of it is left open. */
export function digestToRecord({ plan, desired, isPartial }: Planned): Digest | undefined {
  const isOpen = plan.conflicts.length + plan.unsupported.length > 0 || isPartial === true;
  return isOpen ? undefined : desired.digest;
}

/** A short answer ("as declared") says nothing about moves, absent paths, or what watch wants to remember. */
function needsWholeTree(manifest: Manifest, options: ReconcileOptions): boolean {
  return manifest.absent.length + manifest.moves.length > 0 || options.checksum === true || options.fullScan === true;
}

function fromMemory(workspace: Workspace, { actual, base, held, strategy }: Known): Scanned {
  const engine = strategy === "batch" && workspace.batch !== undefined ? workspace.batch : workspace.steps;
  const holding = held === undefined ? {} : { held };
  return {
    scan: { kind: "tree", rootExists: true, actual, base, ...holding, warnings: [] },
    engine,
    reason: "known from the last scan",
  };
}

/**
 * A new session most likely holds no root: that is found out while local sources are read. Undefined when something is
 * there, or nothing can be said: then the scan proper, which wants to know the sources, has its turn.
 */
async function firstLook(workspace: Workspace, options: ReconcileOptions): Promise<Scanned | undefined> {
  const nothing: ScanRequest = {
    isIgnored: () => true,
    ignorePatterns: [],
    expected: undefined,
    wanted: new Map(),
    needsUnmanaged: false,
    checksum: false,
  };
  try {
    const scanned = await scanWith(workspace, options.strategy ?? "auto", nothing, options.signal);
    return scanned.scan.kind === "tree" && !scanned.scan.rootExists ? scanned : undefined;
  } catch (error) {
    if (options.signal.aborted || !(error instanceof TransportError)) throw error;
    return undefined;
  }
}

/** What the manifest and its sources ask for; for callers that want to begin before they have a session. */
export async function readLocalSources(
  manifest: Manifest,
  { signal }: Pick<ReconcileOptions, "signal">,
): Promise<Desired> {
  return await readSources(manifest, { signal, toleratesMissingTrees: true });
}

type Scanned = { readonly scan: ScanResult; readonly engine: Engine; readonly reason: string };

async function scanWith(
  workspace: Workspace,
  wish: "auto" | "steps" | "batch",
  request: ScanRequest,
  signal: AbortSignal,
): Promise<Scanned> {
  const { steps, batch } = workspace;
  if (wish === "steps") return { scan: await steps.scan(request, signal), engine: steps, reason: "asked for" };
  if (batch === undefined) {
    if (wish === "batch")
      throw new GuardError("this session cannot work in batches: it has no shell", { hint: "leave --strategy out" });
    return { scan: await steps.scan(request, signal), engine: steps, reason: "the session has no shell" };
  }
  try {
    const reason = wish === "batch" ? "asked for" : "round trips do not grow with the number of files";
    return { scan: await batch.scan(request, signal), engine: batch, reason };
  } catch (error) {
    if (wish === "batch" || !hasCode(error, "NOT_POSSIBLE_HERE")) throw error;
    return { scan: await steps.scan(request, signal), engine: steps, reason: error.message };
  }
}

function unchanged(workspace: Workspace, desired: Desired, engine: Engine, strategyReason: string): Planned {
  const { transport } = workspace;
  return {
    plan: {
      version: 1,
      sessionId: transport.sessionId,
      root: transport.root,
      madeFrom: { desired: desired.digest, actual: desired.digest },
      steps: [],
      conflicts: [],
      unsupported: [],
      kept: [],
      warnings: [...desired.warnings, ...unreadableWarnings(desired)],
    },
    desired,
    workspace,
    strategy: engine.strategy,
    strategyReason,
    actual: desired.tree,
    base: emptyBase(transport.sessionId, transport.root),
    baseChanges: [],
    rootExists: true,
    isSettled: true,
    isUnchanged: true,
    readActual: (path) => transport.readFile(path, new AbortController().signal),
  };
}

/**
 * S12: a source that is suddenly empty or missing would delete everything that came from it and from nowhere else now.
 * Gives the places of such trees where somebody wants to know instead.
 * @throws {GuardError}; and what is wrong with a missing source that never brought anything.
 */
function emptiedTrees(desired: Desired, base: Base, options: ReconcileOptions): readonly WorkspacePath[] {
  const emptied: WorkspacePath[] = [];
  for (const { source, path, missing } of desired.emptyTrees) {
    const orphans = [...base.entries].filter(
      ([other, { entry }]) => entry.kind !== "directory" && isBelow(other, path) && !desired.tree.has(other),
    ).length;
    if (orphans === 0 && missing !== undefined) {
      if (options.onHeldBack === undefined) throw missing;
      options.onHeldBack(missing);
    }
    if (orphans === 0 || options.allowMassDelete === true) continue;
    const state = missing === undefined ? "empty" : "missing";
    const what = orphans === 1 ? "1 file" : `${orphans} files`;
    const fault = new GuardError(`the source ${source} is ${state}, but the last apply brought ${what} from it`, {
      hint: `check the source; if it is meant to be ${state}, add --allow-mass-delete`,
    });
    if (options.onHeldBack === undefined) throw fault;
    options.onHeldBack(fault);
    emptied.push(path);
  }
  return emptied;
}

/** Why this plan may not be carried out unasked (S14). */
function tooManyDeletions(plan: Plan, actual: Tree, options: ReconcileOptions): GuardError | undefined {
  if (options.allowMassDelete === true) return undefined;
  const limit = options.maxDelete === undefined ? undefined : parseDeleteLimit(options.maxDelete);
  try {
    checkDeletions(plan, actual, limit);
    return undefined;
  } catch (error) {
    if (error instanceof GuardError) return error;
    throw error;
  }
}

function costOf(plan: Plan): string {
  const { steps, batch } = estimateRequests(plan);
  return `about ${batch} ${batch === 1 ? "request" : "requests"}, step by step about ${steps}`;
}

function wantedFiles(tree: Tree): ReadonlyMap<WorkspacePath, number> {
  const wanted = new Map<WorkspacePath, number>();
  for (const [path, entry] of tree) if (entry.kind === "file") wanted.set(path, entry.sizeBytes);
  return wanted;
}

function unreadableWarnings(desired: Desired): readonly string[] {
  const [first] = desired.unreadable;
  if (first === undefined) return [];
  const others = desired.unreadable.length - 1;
  return [`${first}${others > 0 ? ` and ${others} more` : ""} could not be read: nothing is deleted in this run`];
}

function modeWarnings(desired: Desired, canSetModes: boolean): readonly string[] {
  const declared = [...desired.policies.values()].filter((policy) => policy.declaredMode).length;
  if (canSetModes || declared === 0) return [];
  return [
    `modes cannot be set in this session: ${declared} declared ${declared === 1 ? "mode is" : "modes are"} not enforced`,
  ];
}

function lockOwner(manifest: Manifest): string {
  return `${userInfo().username}@${hostname()} (process ${process.pid}, ${manifest.file})`;
}

/** Reports how long each phase took and how many requests it made. */
function phases(options: ReconcileOptions, workspace: Workspace) {
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
