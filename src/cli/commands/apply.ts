import type { Desired } from "../../desired/desired.ts";
import { hasCode, UsageError } from "../../errors.ts";
import type { Manifest } from "../../manifest/manifest.ts";
import type { SavedPlan } from "../../plan/saved-plan.ts";
import type { Settlements } from "../../plan/settlements.ts";
import { applyPlan, mayPlanAgain } from "../../reconcile/apply-plan.ts";
import { makePlan, readLocalSources } from "../../reconcile/make-plan.ts";
import type { Planned } from "../../reconcile/planned.ts";
import type { ReconcileOptions } from "../../reconcile/reconcile-options.ts";
import type { ApplyReport } from "../../report.ts";
import type { Session } from "../../session.ts";
import { printable } from "../../tree/printable.ts";
import type { WorkspacePath } from "../../tree/workspace-path.ts";
import { restoreHints, sessionHint, settleHints } from "../again.ts";
import { askAboutPlan } from "../ask-about-plan.ts";
import type { CommonOptions, Context, Progress } from "../context.ts";
import { summaryLine } from "../events.ts";
import { exitCodes } from "../exit-code.ts";
import type { LockGuard } from "../lock-guard.ts";
import { lockGuard } from "../lock-guard.ts";
import { renderCosts } from "../phase-costs.ts";
import { renderPlan } from "../render-plan.ts";
import { codeOf, isIncomplete, renderReport, UNFINISHED } from "../render-report.ts";
import { asSaved, resumeSavedPlan } from "../saved-plan-file.ts";

type Options = CommonOptions & {
  readonly dryRun?: boolean;
  readonly yes?: boolean;
  readonly saved?: SavedPlan;
  readonly sources?: Promise<Desired>;
  readonly guard?: LockGuard;
  /** What was decided at the terminal. */
  readonly settlements?: Settlements;
};

/** What an apply came to, and what of it the plan told already. */
type Ended = { readonly report: ApplyReport; readonly told: ReadonlySet<WorkspacePath> | undefined };

/** Plan, ask where that is called for, carry out, report. */
export async function run(context: Context, given?: string, own: Options = {}): Promise<number> {
  if (own.dryRun === true) return await dryRun(context, given, own);
  const { manifest: named, options: wished } = context.sortOut(given, own);
  const { console } = context;
  context.listenForSignals();
  const resumed = await resumeSavedPlan(context, named, wished);
  const saved = resumed?.saved;
  const path = resumed?.manifest ?? named;
  const options = resumed?.options ?? wished;
  let manifest = await context.loadManifestFor(path, options);
  const guard = lockGuard(context, path, options);
  const checked = await guard?.check(manifest);
  const startedMs = performance.now();
  // Read while the session is reached or created; what is wrong with them is told once there is one. A local session is
  // there at once, and listed meanwhile.
  const isEarly = !manifest.usesSessionId && options.local === undefined;
  const early =
    checked === undefined && isEarly
      ? readLocalSources(manifest, context.sourceOptions(options))
      : checked && Promise.resolve(checked);
  early?.catch(() => undefined);
  const progress = context.progress(options);
  const session = await context.connect(manifest, options, true);
  try {
    const given = context.given(path, wished, session, manifest.session);
    if (session.origin === "created") {
      console.say(`created session ${printable(session.id)}; ${sessionHint(session.id, manifest.session.name, given)}`);
    }
    manifest = context.forSession(manifest, session.id);
    const sources = early?.catch(async (error: unknown) => {
      // A template waited for the session.
      if (!hasCode(error, "SESSION_ID_NEEDED")) throw error;
      return await readLocalSources(manifest, context.sourceOptions(options));
    });
    const ended = await reconcile(context, manifest, session, progress, {
      ...options,
      ...(own.yes === true || saved !== undefined ? { yes: true } : {}),
      ...(saved === undefined ? {} : { saved }),
      ...(sources === undefined ? {} : { sources }),
      ...(guard === undefined ? {} : { guard }),
    });
    if (ended === undefined) return exitCodes.failed;
    const { report, told } = ended;
    const code = context.interruptCode ?? codeOf(report);
    if (context.interruptCode !== undefined && isIncomplete(report)) {
      console.say(`interrupted; ${UNFINISHED}`);
    }
    if (options.json === true) console.printEvent(summaryLine("summary", report, code));
    else {
      const hints = [
        ...restoreHints(report.backupPath, given, console.ink),
        ...settleHints(report.conflicts, given, console.ink),
      ];
      console.print(renderReport(report, console.ink, { told, hints }));
      const place = context.placeOfFiles(manifest, options);
      if (place !== undefined) console.say(`the files are in ${place}`);
      if (console.isVerbose) {
        console.say(renderCosts(report, progress.costs.all, performance.now() - startedMs));
      }
    }
    return code;
  } finally {
    await session.close();
  }
}

/** `apply --dry-run` is `plan`, which makes no mutating call (S16). */
async function dryRun(context: Context, given: string | undefined, own: Options): Promise<number> {
  if (given?.endsWith(".json") === true) {
    throw new UsageError("--dry-run does not go with a saved plan", {
      hint: "the plan is what will be done: read it, or make a new one with agb-sync plan",
    });
  }
  const { run: plan } = await import("./plan.ts");
  return await plan(context, given, own);
}

/** Undefined when the person at the terminal said no. */
async function reconcile(
  context: Context,
  manifest: Manifest,
  session: Session,
  progress: Progress,
  given: Options,
): Promise<Ended | undefined> {
  let options = given;
  const told = new Set<WorkspacePath>();
  const asked = given.onConflict === undefined ? new Set<WorkspacePath>() : undefined;
  for (let round = 1; ; ) {
    const settings = settingsOf(context, options, progress);
    const { sources, ...others } = options;
    const found = await makePlan(manifest, session, sources === undefined ? settings : { ...settings, sources });
    // A later plan reads them anew.
    options = others;
    const matched = options.saved === undefined ? undefined : asSaved(found, options.saved, context.hides);
    const planned = matched?.planned ?? found;
    progress.clear();
    show(context, planned, options, told);
    const hasBackup = options.backup ?? true;
    const wish = isInteractive(options) ? await askAboutPlan(context, planned, { hasBackup, asked }) : "apply";
    if (wish === "no") {
      context.console.say("nothing was changed");
      return undefined;
    }
    if (wish !== "apply") {
      options = { ...options, settlements: new Map([...(options.settlements ?? []), ...wish]) };
      continue;
    }
    try {
      context.whenInterrupted = UNFINISHED;
      if (matched?.isDone === true)
        context.console.say("applied already: everything that the saved plan is for is in place");
      const report = await applyPlan(planned, manifest, {
        ...settings,
        // What it called for was run, or is owed, since it was carried out.
        ...(matched?.isDone === true ? { runCommands: false } : {}),
      });
      return { report, told: options.json === true ? undefined : told };
    } catch (error) {
      if (!mayPlanAgain(error, round) || options.saved !== undefined) throw error;
      context.console.say("the workspace changed since it was scanned; planning again");
      round += 1;
    } finally {
      progress.clear();
    }
  }
}

/** Options, and what was decided since: that wins. */
function settingsOf(context: Context, options: Options, progress: Progress): ReconcileOptions {
  const { guard } = options;
  const settings = {
    ...context.reconcileOptions(options, progress.onEvent),
    ...(guard === undefined ? {} : { onSources: guard.onSources }),
  };
  if (options.settlements === undefined) return settings;
  return { ...settings, settlements: new Map([...(settings.settlements ?? []), ...options.settlements]) };
}

/** Shows what there is to show; conflicts once only. */
function show({ console }: Context, { plan, desired }: Planned, options: Options, told: Set<WorkspacePath>): void {
  const left = plan.conflicts.length + plan.unsupported.length + plan.kept.length + desired.unreadable.length;
  if (options.json !== true && plan.steps.length + left > 0) {
    const view = { isFolded: console.folds, hasBackup: options.backup ?? true, told: new Set(told) };
    console.print(renderPlan(plan, desired.unreadable, console.ink, view));
    for (const { path } of plan.conflicts) told.add(path);
  }
  for (const warning of plan.warnings) console.warn(warning);
}

function isInteractive(options: Options): boolean {
  return options.yes !== true && options.json !== true && process.stdin.isTTY && process.stderr.isTTY;
}
