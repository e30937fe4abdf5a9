import { makePlan } from "../../reconcile/make-plan.ts";
import { printable } from "../../tree/printable.ts";
import { settleHints } from "../again.ts";
import type { CommonOptions, Context } from "../context.ts";
import { exitCodes } from "../exit-code.ts";
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
  const session = await context.connect(manifest, options, false);
  try {
    manifest = context.forSession(manifest, session.id);
    const progress = context.progress({ ...options, json: false });
    const planned = await makePlan(manifest, session, context.reconcileOptions(options, progress.onEvent));
    progress.clear();
    const { plan } = planned;
    const { unreadable } = planned.desired;
    if (options.json === true) console.printData({ type: "plan", ...publicPlan(planned, context.hides), unreadable });
    else {
      console.print(renderPlan(plan, unreadable, console.ink, { isFolded: console.folds, owed: planned.owed }));
      const given = context.given(path, options, session, manifest.session);
      for (const line of settleHints(plan.conflicts, given, console.ink)) console.print(line);
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
