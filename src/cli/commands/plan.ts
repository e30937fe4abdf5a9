import type { AgbSyncError } from "../../errors.ts";
import { hasCode } from "../../errors.ts";
import type { Manifest } from "../../manifest/manifest.ts";
import { makePlan } from "../../reconcile/make-plan.ts";
import type { Planned } from "../../reconcile/planned.ts";
import type { Session } from "../../session.ts";
import { printable } from "../../tree/printable.ts";
import { settleHints } from "../again.ts";
import type { CommonOptions, Context } from "../context.ts";
import { exitCodes } from "../exit-code.ts";
import { lockGuard } from "../lock-guard.ts";
import { noSession } from "../no-session.ts";
import { hiddenIn, publicPlan } from "../public-plan.ts";
import { renderPlan } from "../render-plan.ts";
import { writeSavedPlan } from "../saved-plan-file.ts";

type Options = CommonOptions & { readonly diff?: boolean; readonly exitCode?: boolean; readonly out?: string };

/** Shows what apply would do; changes nothing. */
export async function run(context: Context, given?: string, own: Options = {}): Promise<number> {
  const { manifest: path, options } = context.sortOut(given, own);
  const { console } = context;
  context.listenForSignals();
  let manifest = await context.loadManifestFor(path, options);
  const guard = lockGuard(context, path, options);
  await guard?.check(manifest);
  const { session, missing } = await reach(context, manifest, options);
  if (missing !== undefined && own.out !== undefined) throw missing;
  try {
    if (missing === undefined) manifest = context.forSession(manifest, session.id);
    const progress = context.progress({ ...options, json: false });
    const made = await makePlan(manifest, session, {
      ...context.reconcileOptions(options, progress.onEvent),
      ...(guard === undefined ? {} : { onSources: guard.onSources }),
    });
    progress.clear();
    const planned = missing === undefined ? made : withWarning(made, missing);
    const { plan } = planned;
    const { unreadable } = planned.desired;
    const sessionId = missing === undefined ? plan.sessionId : null;
    const { hides } = context;
    if (options.json === true)
      console.printData({ type: "plan", ...publicPlan(planned, hides), sessionId, unreadable });
    else {
      console.print(renderPlan(plan, unreadable, console.ink, { isFolded: console.folds, owed: planned.owed }));
      const given = context.given(path, options, session, manifest.session);
      for (const line of settleHints(plan.conflicts, given, console.ink)) console.say(line);
      for (const warning of plan.warnings) console.warn(warning);
      if (console.isVerbose) console.say(`strategy ${planned.strategy}: ${printable(planned.strategyReason)}`);
      if (own.diff === true) {
        const { renderDiffs } = await import("../render-diff.ts");
        for await (const diff of renderDiffs(planned, hiddenIn(planned, context.hides), console.ink))
          console.print(`\n${diff}`);
      }
    }
    if (own.out !== undefined) {
      await writeSavedPlan(context, own.out, { plan, hides: hiddenIn(planned, context.hides), path, options });
      console.say(`saved: apply exactly this with: agb-sync apply ${printable(own.out)}`);
    }
    if (own.exitCode !== true) return exitCodes.done;
    if (unreadable.length > 0) return exitCodes.failed;
    const hasChanges = plan.steps.length + plan.conflicts.length + plan.unsupported.length + planned.owed.length > 0;
    return hasChanges ? exitCodes.changesPending : exitCodes.done;
  } finally {
    await session.close();
  }
}

/** The session that is meant; one that is empty in place of one that is not there yet, and what was said of that. */
async function reach(
  context: Context,
  manifest: Manifest,
  options: CommonOptions,
): Promise<{ readonly session: Session; readonly missing?: AgbSyncError }> {
  try {
    return { session: await context.connect(manifest, options, false) };
  } catch (error) {
    if (!hasCode(error, "SESSION_NOT_FOUND") || options.session !== undefined) throw error;
    return { session: await noSession(context.env, context.signal), missing: error };
  }
}

function withWarning(planned: Planned, { message }: AgbSyncError): Planned {
  const warning = `${message}: planned against an empty workspace, as apply would find it in a new session`;
  return { ...planned, plan: { ...planned.plan, warnings: [warning, ...planned.plan.warnings] } };
}
