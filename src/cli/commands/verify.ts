import { plural } from "../../plural.ts";
import { foundDigest } from "../../reconcile/found-digest.ts";
import { makePlan } from "../../reconcile/make-plan.ts";
import { printable } from "../../tree/printable.ts";
import type { CommonOptions, Context } from "../context.ts";
import { exitCodes } from "../exit-code.ts";
import { publicPlan } from "../public-plan.ts";
import { owedClause } from "../render-owed.ts";
import { renderDifferences } from "../render-plan.ts";

type Options = CommonOptions & { readonly allowKept?: boolean };

/** Hashes everything again and compares it with the manifest. */
export async function run(context: Context, given?: string, own: Options = {}): Promise<number> {
  const { manifest: path, options } = context.sortOut(given, own);
  const { console } = context;
  context.listenForSignals();
  let manifest = await context.loadManifestFor(path, options);
  const session = await context.connect(manifest, options, false);
  try {
    manifest = context.forSession(manifest, session.id);
    const progress = context.progress({ ...options, json: false });
    const planned = await makePlan(manifest, session, {
      ...context.reconcileOptions(options, progress.onEvent),
      checksum: true,
    });
    progress.clear();
    const { plan, desired, owed } = planned;
    const { unreadable, digest } = desired;
    const isSame = plan.steps.length + plan.conflicts.length + plan.unsupported.length === 0;
    const isRead = isSame && unreadable.length + owed.length === 0;
    const equal = isRead && plan.kept.length === 0;
    const found = await foundDigest(planned, context.signal);
    if (options.json === true) {
      const { id: sessionId } = session;
      const publicly = publicPlan(planned, context.hides);
      console.printData({
        type: "verify",
        sessionId,
        equal,
        digest,
        found,
        plan: publicly,
        unreadable,
        kept: plan.kept,
        owed: publicly.owed,
      });
    } else {
      const lines = renderDifferences(plan, unreadable, console.ink, { isFolded: console.folds, owed });
      for (const line of lines) console.print(line);
      const [root, file] = [printable(manifest.root), printable(manifest.file)];
      if (equal) console.print(`Verified: ${root} equals ${file}, ${found}`);
      else if (isRead) {
        const what = `${plural(plan.kept.length, "path is", "paths are")} kept as the session has ${plan.kept.length === 1 ? "it" : "them"}`;
        const isAllowed = own.allowKept === true;
        console.print(`${isAllowed ? "Verified but for" : "Differs:"} ${what}: declared ${digest}, found ${found}`);
        if (!isAllowed)
          console.print("allow that with --allow-kept, or settle it with agb-sync apply --on-conflict overwrite");
      } else if (isSame && unreadable.length === 0) console.print(`Not verified: ${owedClause(owed)}`);
      else if (isSame)
        console.print(`Not verified: ${plural(unreadable.length, "source")} of ${file} could not be read`);
      else console.print(`Differs: ${root} is not as ${file} declares: declared ${digest}, found ${found}`);
      for (const warning of plan.warnings) console.warn(warning);
    }
    if (unreadable.length > 0) return exitCodes.failed;
    return equal || (isRead && own.allowKept === true) ? exitCodes.done : exitCodes.changesPending;
  } finally {
    await session.close();
  }
}
