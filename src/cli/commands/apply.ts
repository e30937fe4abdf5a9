import { existsSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import type { Desired } from "../../desired/desired.ts";
import { AgbSyncError, hasCode, UsageError } from "../../errors.ts";
import type { Manifest } from "../../manifest/manifest.ts";
import type { SavedPlan } from "../../plan/saved-plan.ts";
import { matchSaved, parseSavedPlan } from "../../plan/saved-plan.ts";
import { plural } from "../../plural.ts";
import { applyPlan } from "../../reconcile/apply-plan.ts";
import { makePlan, readLocalSources } from "../../reconcile/make-plan.ts";
import type { Planned } from "../../reconcile/planned.ts";
import type { ApplyReport } from "../../report.ts";
import type { Session } from "../../session.ts";
import { printable } from "../../tree/printable.ts";
import { ask } from "../ask.ts";
import type { CommonOptions, Context, Progress } from "../context.ts";
import { summaryLine } from "../events.ts";
import { exitCodes } from "../exit-code.ts";
import { doing } from "../local-fault.ts";
import { renderCosts } from "../phase-costs.ts";
import type { IsSensitive } from "../public-plan.ts";
import { hiddenIn } from "../public-plan.ts";
import { countsForQuestion, renderPlan } from "../render-plan.ts";
import { codeOf, isIncomplete, renderReport, UNFINISHED } from "../render-report.ts";

type Options = CommonOptions & {
  readonly yes?: boolean;
  readonly saved?: SavedPlan;
  readonly sources?: Promise<Desired>;
};

/** How often a plan is made again when another apply got in between. */
const MAX_ROUNDS = 5;

/** Plan, ask where that is called for, carry out, report. */
export async function run(context: Context, given?: string, own: Options = {}): Promise<number> {
  const { manifest: named, options: wished } = context.sortOut(given, own);
  const { console } = context;
  context.listenForSignals();
  const saved = named?.endsWith(".json") ? readSavedPlan(context, named) : undefined;
  const path = saved?.manifest ?? named;
  const isElsewhere = wished.local === undefined && wished.session === undefined;
  const options = saved !== undefined && isElsewhere ? { ...wished, session: saved.sessionId } : wished;
  let manifest = await context.loadManifestFor(path, options);
  const startedMs = performance.now();
  // Read while the session is reached or created; what is wrong with them is told once there is one. A local session is
  // there at once, and listed meanwhile.
  const isEarly = !manifest.usesSessionId && options.local === undefined;
  const early = isEarly ? readLocalSources(manifest, context.sourceOptions(options)) : undefined;
  early?.catch(() => undefined);
  const progress = context.progress(options);
  const session = await context.connect(manifest, options, true);
  try {
    if (session.origin === "created") console.say(`created session ${printable(session.id)}`);
    manifest = context.forSession(manifest, session.id);
    const sources = early?.catch(async (error: unknown) => {
      // A template waited for the session.
      if (!hasCode(error, "SESSION_ID_NEEDED")) throw error;
      return await readLocalSources(manifest, context.sourceOptions(options));
    });
    const report = await reconcile(context, manifest, session, progress, {
      ...options,
      ...(own.yes === true || saved !== undefined ? { yes: true } : {}),
      ...(saved === undefined ? {} : { saved }),
      ...(sources === undefined ? {} : { sources }),
    });
    if (report === undefined) return exitCodes.failed;
    const code = context.interruptCode ?? codeOf(report);
    if (context.interruptCode !== undefined && isIncomplete(report)) {
      console.say(`interrupted; ${UNFINISHED}`);
    }
    if (options.json === true) console.printEvent(summaryLine("summary", report, code));
    else {
      console.print(renderReport(report, console.ink));
      if (console.isVerbose) {
        console.say(renderCosts(report, progress.costs.all, performance.now() - startedMs));
      }
    }
    return code;
  } finally {
    await session.close();
  }
}

/** Undefined when the person at the terminal said no. */
async function reconcile(
  context: Context,
  manifest: Manifest,
  session: Session,
  progress: Progress,
  given: Options,
): Promise<ApplyReport | undefined> {
  let options = given;
  for (let round = 1; ; ) {
    const settings = context.reconcileOptions(options, progress.onEvent);
    const { sources, ...others } = options;
    const found = await makePlan(manifest, session, sources === undefined ? settings : { ...settings, sources });
    // A later plan reads them anew.
    options = others;
    const planned = options.saved === undefined ? found : asSaved(found, options.saved, context.hides);
    progress.clear();
    show(context, planned, options);
    const answer = isInteractive(options) ? await askAbout(context, planned, options) : "apply";
    if (answer === "no") {
      context.console.say("nothing was changed");
      return undefined;
    }
    if (answer !== "apply") {
      options = { ...options, onConflict: answer };
      continue;
    }
    try {
      context.whenInterrupted = UNFINISHED;
      return await applyPlan(planned, manifest, settings);
    } catch (error) {
      if (!hasCode(error, "STALE_PLAN") || round === MAX_ROUNDS || options.saved !== undefined) throw error;
      context.console.say("the workspace changed since it was scanned; planning again");
      round += 1;
    } finally {
      progress.clear();
    }
  }
}

function show({ console }: Context, { plan, desired }: Planned, options: Options): void {
  const left = plan.conflicts.length + plan.unsupported.length + plan.kept.length + desired.unreadable.length;
  if (options.json !== true && plan.steps.length + left > 0) {
    const view = { isFolded: console.folds, hasBackup: options.backup ?? true };
    console.print(renderPlan(plan, desired.unreadable, console.ink, view));
  }
  for (const warning of plan.warnings) console.warn(warning);
}

function readSavedPlan(context: Context, named: string): SavedPlan {
  const file = resolve(context.cwd, named);
  if (!existsSync(file))
    throw new UsageError(`there is no ${named}`, { hint: "save a plan with: agb-sync plan --out" });
  return parseSavedPlan(
    doing(`read ${named}`, () => readFileSync(file, "utf8")),
    named,
  );
}

/** What was saved, or a refusal that names what has changed since (S23). */
function asSaved(planned: Planned, saved: SavedPlan, hides: IsSensitive): Planned {
  const { plan } = planned;
  const isSame = plan.sessionId === saved.sessionId && plan.root === saved.root;
  const { changed, plan: narrowed } = isSame
    ? matchSaved(saved, plan, hiddenIn(planned, hides))
    : { changed: [], plan };
  if (!isSame || changed.length > 0) {
    const what = isSame
      ? `these paths changed since it was made: ${changed.map(printable).join(", ")}`
      : "it was made for another session or root";
    throw new AgbSyncError("STALE_PLAN", `the saved plan cannot be applied: ${what}`, {
      hint: "look at the new plan: agb-sync plan",
    });
  }
  return narrowed.steps.length === plan.steps.length
    ? planned
    : { ...planned, plan: narrowed, isPartial: true, isSettled: false };
}

function isInteractive(options: Options): boolean {
  return options.yes !== true && options.json !== true && process.stdin.isTTY && process.stderr.isTTY;
}

/** Deletions, and foreign bytes that are replaced. */
function isDestructive(planned: Planned): boolean {
  return planned.plan.steps.some(({ step }) => step.op === "delete" || ("backup" in step && step.backup));
}

/** What the person at the terminal wants: the plan as it was shown, one with another rule for conflicts, or none. */
async function askAbout(
  context: Context,
  planned: Planned,
  options: Options,
): Promise<"apply" | "overwrite" | "keep" | "no"> {
  const { conflicts } = planned.plan;
  if (conflicts.length > 0 && options.onConflict === undefined) {
    const question = `${plural(conflicts.length, "conflict")}: [s]kip, [o]verwrite after a backup, [k]eep the session's? [s] `;
    const rule = await ask(context, question, ["skip", "overwrite", "keep"], "skip");
    if (rule !== "skip") return rule ?? "no";
  }
  if (!isDestructive(planned)) return "apply";
  const question = `${countsForQuestion(planned.plan, options.backup ?? true)} Apply this? [y/N] `;
  return (await ask(context, question, ["yes", "no"], "no")) === "yes" ? "apply" : "no";
}
