import type { Desired } from "../desired/desired.ts";
import { checkSourcesOutside, sessionDirectories } from "../desired/own-directories.ts";
import { readSources } from "../desired/read-sources.ts";
import { openStoredSourceCache } from "../desired/stored-source-cache.ts";
import type { BegunScan, Engine, ScanRequest, ScanResult } from "../engine/engine.ts";
import { estimateRequests } from "../engine/estimate-requests.ts";
import { unwritableContents } from "../engine/unwritable-contents.ts";
import { UsageError } from "../errors.ts";
import { forSession } from "../manifest/for-session.ts";
import { ignoreMatcher } from "../manifest/ignore-matcher.ts";
import type { Manifest, RunSpec } from "../manifest/manifest.ts";
import { pruneRuleFor } from "../manifest/policy.ts";
import type { PlanInput } from "../plan/build-plan.ts";
import { buildPlan } from "../plan/build-plan.ts";
import { holdBack } from "../plan/hold-back.ts";
import type { Trees } from "../plan/narrow.ts";
import { narrow } from "../plan/narrow.ts";
import type { Plan } from "../plan/plan.ts";
import { possibleHere } from "../plan/possible-here.ts";
import type { Settlements } from "../plan/settlements.ts";
import { placesOfNothing } from "../plan/settlements.ts";
import { plural } from "../plural.ts";
import { owedAmong, owedKey } from "../run/owed.ts";
import type { Session, Workspace } from "../session.ts";
import type { Base, BaseChange } from "../tree/base.ts";
import { emptyBase } from "../tree/base.ts";
import type { Digest } from "../tree/digest.ts";
import type { Tree } from "../tree/entry.ts";
import { covers } from "../tree/path-set.ts";
import type { WorkspacePath } from "../tree/workspace-path.ts";
import { STATE_DIRECTORY } from "../tree/workspace-path.ts";
import { emptiedTrees, heldBackError, holdMarks, isHeldBack, tooManyDeletions } from "./guards.ts";
import { phases } from "./phases.ts";
import type { Known, Planned } from "./planned.ts";
import type { ReconcileOptions } from "./reconcile-options.ts";
import { beginScan, firstLook, fromMemory, scanWith } from "./scan-workspace.ts";

export const CANNOT_RUN = "the commands of run: cannot be run: the session has no shell tool";

/** Everything up to, and not including, the first write in the session (S16). */
export async function makePlan(
  given: Manifest,
  session: Session,
  options: ReconcileOptions,
  known?: Known,
): Promise<Planned> {
  const manifest = forSession(given, session.id);
  const workspace = session.openWorkspace(manifest.root);
  const ours = sessionDirectories(session.localDirectory, manifest.root);
  for (const written of ours.slice(1)) checkSourcesOutside(manifest, written);
  const phase = phases(options, workspace);
  const looking = known === undefined ? lookEarly(manifest, session, workspace, options) : {};
  const [desired, features] = await Promise.all([
    phase("sources", async () => {
      const read = await (options.sources ?? readLocalSources(manifest, options, ours));
      options.onSources?.(manifest, read);
      return read;
    }),
    workspace.transport.features(options.signal),
  ]).catch((error: unknown) => {
    looking.begun?.discard();
    throw error;
  });
  const strategy = options.strategy ?? "auto";
  const request = scanRequest(manifest, desired, options, known);
  const { scan, engine, reason } =
    known === undefined
      ? ((await looking.first) ??
        (await phase("scan", () => scanWith(workspace, strategy, request, options.signal, looking.begun))))
      : fromMemory(workspace, known);
  if (scan.kind === "unchanged") return unchanged(workspace, desired, engine, reason);
  const unwritable = features.binary
    ? new Set<Digest>()
    : await phase("sources", () => unwritableContents(desired.contents));
  const found: Found = { manifest, session, options, known, desired, scan, features, unwritable };
  const decided = decide(found);
  const { plan } = decided;
  return {
    ...decided,
    desired,
    workspace,
    strategy: engine.strategy,
    strategyReason: engine.strategy === "batch" && plan.steps.length > 0 ? `${reason}; ${costOf(plan)}` : reason,
    actual: scan.actual,
    held: scan.held,
    recovered: scan.recovered,
    rootExists: scan.rootExists,
    commands: manifest.run,
    readActual: (path) => workspace.transport.readFile(path, options.signal),
  };
}

/** A look at the session that is under way while the sources are read: the first one at a new session, or a scan begun. */
function lookEarly(
  manifest: Manifest,
  session: Session,
  workspace: Workspace,
  options: ReconcileOptions,
): { readonly first?: ReturnType<typeof firstLook>; readonly begun?: BegunScan | undefined } {
  const { cacheDirectory, strategy = "auto" } = options;
  if (session.origin !== "created") {
    return { begun: beginScan(workspace, strategy, { ignorePatterns: manifest.ignore, cacheDirectory }) };
  }
  const first = phases(options, workspace)("scan", () => firstLook(workspace, options));
  // It is awaited later, unless the sources fail before.
  first.catch(() => undefined);
  return { first };
}

function scanRequest(
  manifest: Manifest,
  desired: Desired,
  options: ReconcileOptions,
  known: Known | undefined,
): ScanRequest {
  return {
    isIgnored: ignoreMatcher(manifest.ignore),
    ignorePatterns: manifest.ignore,
    expected: needsWholeTree(manifest, options) ? undefined : desired.digest,
    wanted: known === undefined ? wantedFiles(desired.tree) : new Map(),
    needsUnmanaged: needsUnmanaged(manifest, desired, options),
    checksum: options.checksum ?? false,
  };
}

function needsUnmanaged(manifest: Manifest, desired: Desired, options: ReconcileOptions): boolean {
  const prunesAll = manifest.prune === "all" || desired.pruneScopes.some(({ rule }) => rule === "all");
  return options.listsUnmanaged === true || prunesAll;
}

/** Everything that was read: what a plan is decided from. */
type Found = {
  readonly manifest: Manifest;
  readonly session: Session;
  readonly options: ReconcileOptions;
  readonly known: Known | undefined;
  readonly desired: Desired;
  readonly scan: Extract<ScanResult, { kind: "tree" }>;
  readonly features: Awaited<ReturnType<Workspace["transport"]["features"]>>;
  readonly unwritable: ReadonlySet<Digest>;
};

type Decided = Pick<Planned, "plan" | "base" | "baseChanges" | "isPartial" | "isGuarded" | "owed" | "isSettled">;

/** The plan, what base becomes beside its steps, and whether there is anything to do at all. Reads nothing more. */
function decide(found: Found): Decided {
  const { manifest, session, options, desired, scan } = found;
  const base = scan.base ?? emptyBase(session.id, manifest.root);
  const emptied = new Set(emptiedTrees(desired, base, options));
  const isCollecting = options.onHeldBack !== undefined && options.allowMassDelete !== true;
  /** Kept from being deleted by a guard, now or before (S43). */
  const isGuarded = (path: WorkspacePath) =>
    covers(emptied, path) || (isCollecting && isHeldBack(base, path, scan.actual.get(path)));
  const whole: Trees = { desired: desired.tree, actual: scan.actual, base };
  const trees = emptied.size === 0 ? narrowed(found, whole) : whole;
  const input = planInput(found, trees, isGuarded);
  const tried = buildPlan(input);
  refuseUnknownSettlements(options.settlements, whole, tried.plan);
  const guard = isCollecting ? tooManyDeletions(tried.plan, scan.actual, base, options) : undefined;
  const built = guard === undefined ? tried : buildPlan({ ...input, mayDelete: () => false });
  const holds = holdMarks(built, scan.actual, trees.base, (path) => guard !== undefined || isGuarded(path));
  const untold = holds.paths.filter((path) => !covers(emptied, path)).length;
  if (untold > 0) options.onHeldBack?.(heldBackError(untold, manifest.root));
  const baseChanges = [...built.baseChanges, ...holds.changes];
  const owed = owedBefore(found, base);
  const differs =
    owed.map(owedKey).join() !== base.owed.join() ||
    holds.isGuarded !== base.isGuarded ||
    built.plan.steps.length + baseChanges.length + scan.recovered.length > 0;
  const isPartial = desired.held.size > 0 || built.plan.waiting.length > 0;
  return {
    plan: built.plan,
    base,
    baseChanges: [...baseChanges, ...seedsWritten(built.plan, desired)],
    isPartial,
    isGuarded: holds.isGuarded,
    owed,
    isSettled: !differs && isRecorded(built.plan, found, base, isPartial),
  };
}

/** Everything else was planned and carried out before: only what has changed, and what was left open, is compared. */
function narrowed({ manifest, desired, options, known }: Found, whole: Trees): Trees {
  if (known?.open === undefined || known.changed === undefined) return whole;
  const needsAll = needsUnmanaged(manifest, desired, options) || manifest.absent.length + manifest.moves.length > 0;
  return needsAll ? whole : narrow(whole, [...known.changed, ...known.open]);
}

function planInput(found: Found, trees: Trees, isGuarded: (path: WorkspacePath) => boolean): PlanInput {
  const { manifest, session, options, desired, scan, features, unwritable } = found;
  const isIgnored = ignoreMatcher(manifest.ignore);
  const isUnreadable = desired.unreadable.length > 0;
  return {
    ...holdBack(desired.held, trees.desired, trees.actual, trees.base),
    sessionId: session.id,
    root: manifest.root,
    desired: trees.desired,
    desiredDigest: desired.digest,
    policies: desired.policies,
    absent: manifest.absent.map(({ path }) => path),
    moves: manifest.moves,
    onConflict: options.onConflict ?? manifest.onConflict,
    ...(options.settlements === undefined ? {} : { settlements: options.settlements }),
    pruneRule: (path) => pruneRuleFor(path, desired.pruneScopes, manifest.prune),
    isIgnored: (path) => isIgnored(path, scan.actual.get(path)?.kind === "directory") || covers(desired.leftOut, path),
    ...(scan.held === undefined ? {} : { held: scan.held }),
    detectMoves: options.detectMoves ?? true,
    mayDelete: (path) => !isUnreadable && !isGuarded(path),
    unsupported: possibleHere(features, unwritable, desired.tree.keys()),
    warnings: [
      ...desired.warnings,
      ...scan.warnings,
      ...lostStateWarnings(scan, desired.tree, manifest.root),
      ...unreadableWarnings(desired),
      ...modeWarnings(desired, features.modes),
      ...(manifest.run.length > 0 && !features.shell ? [CANNOT_RUN] : []),
    ],
  };
}

/** A seed is nobody's once it is written: base forgets it. */
function seedsWritten({ steps }: Plan, { policies }: Desired): readonly BaseChange[] {
  return steps.flatMap(({ step }) =>
    step.op === "write" && policies.get(step.path)?.seedOnly ? [{ path: step.path, after: undefined }] : [],
  );
}

/** Of a base that is lost nobody knows what was owed by it: everything is. */
function owedBefore({ scan, manifest, options }: Found, base: Base): readonly RunSpec[] {
  const stored = scan.isBaseLost === true ? manifest.run : owedAmong(base.owed, manifest.run);
  return stored.filter((spec) => options.commandsDone?.has(owedKey(spec)) !== true);
}

/** Whether base says already what it would say after an apply that has nothing to do. */
function isRecorded(plan: Plan, { desired, scan }: Found, base: Base, isPartial: boolean): boolean {
  const isClean = plan.conflicts.length + plan.unsupported.length + plan.kept.length === 0;
  const saysSo =
    isPartial || base.desiredDigest === (isClean ? desired.digest : undefined) || base.desiredDigest === undefined;
  return saysSo && (scan.base !== undefined || !isClean);
}

/** A short answer ("as declared") says nothing about moves, absent paths, edited seeds, or what watch wants to remember. */
function needsWholeTree(manifest: Manifest, options: ReconcileOptions): boolean {
  const named = manifest.absent.length + manifest.moves.length + (options.settlements?.size ?? 0);
  const hasSeeds = manifest.files.some(({ seedOnly }) => seedOnly);
  return named > 0 || hasSeeds || options.checksum === true || options.fullScan === true;
}

/** @throws {UsageError} when a conflict is to be settled at a path of which nobody has heard. */
function refuseUnknownSettlements(settlements: Settlements | undefined, trees: Trees, { conflicts }: Plan): void {
  const [unknown] = placesOfNothing(settlements ?? new Map(), [trees.desired, trees.actual, trees.base.entries]);
  if (unknown === undefined) return;
  const known = conflicts.length === 0 ? "there is no conflict" : conflicts.map(({ path }) => path).join(", ");
  const what = unknown === "" ? "the root" : unknown;
  throw new UsageError(`there is nothing to settle at ${what}: it is not declared and was not applied`, {
    hint: `name a path below root, or a directory above it, that is in conflict: ${known}`,
  });
}

/** What the manifest and its sources ask for; for callers that want to begin before they have a session. */
export async function readLocalSources(
  manifest: Manifest,
  { signal, cacheDirectory, checksum }: Pick<ReconcileOptions, "signal" | "cacheDirectory" | "checksum">,
  ours: readonly string[] = [],
): Promise<Desired> {
  const own = { sessions: ours, caches: cacheDirectory === undefined ? [] : [cacheDirectory] };
  const options = { signal, own, toleratesMissingTrees: true };
  if (cacheDirectory === undefined || checksum === true) return await readSources(manifest, options);
  const { cache, save } = openStoredSourceCache(cacheDirectory, manifest);
  const desired = await readSources(manifest, { ...options, cache });
  save();
  return desired;
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
      waiting: [],
      warnings: [...desired.warnings, ...unreadableWarnings(desired)],
    },
    desired,
    workspace,
    strategy: engine.strategy,
    strategyReason,
    actual: desired.tree,
    base: emptyBase(transport.sessionId, transport.root),
    recovered: [],
    baseChanges: [],
    rootExists: true,
    isGuarded: false,
    commands: [],
    owed: [],
    isSettled: true,
    isUnchanged: true,
    readActual: (path) => transport.readFile(path, new AbortController().signal),
  };
}

function costOf(plan: Plan): string {
  const { steps, batch } = estimateRequests(plan);
  return `about ${plural(batch, "request")}, step by step about ${steps}`;
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
    `modes cannot be set in this session: ${plural(declared, "declared mode is", "declared modes are")} not enforced`,
  ];
}

/**
 * Files are there that are declared, and no record of who wrote them: either a first apply on what others made, or
 * something in the session removed the record (S17).
 */
function lostStateWarnings(
  { rootExists, base, actual, warnings }: Extract<ScanResult, { kind: "tree" }>,
  desired: Tree,
  root: string,
): readonly string[] {
  if (!rootExists || base !== undefined || warnings.length > 0) return [];
  if (![...desired].some(([path, { kind }]) => kind === "file" && actual.get(path)?.kind === "file")) return [];
  return [
    `${root} holds declared files, and ${root}/${STATE_DIRECTORY}/ no record of an earlier apply: what is as declared is ` +
      "taken over, what differs is a conflict, nothing is deleted. If there was a record, something removed it and the " +
      `backups with it, as \`git clean -x\` does without -e ${STATE_DIRECTORY}`,
  ];
}
