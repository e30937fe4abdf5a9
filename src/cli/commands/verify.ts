import { makePlan } from "../../reconcile.ts";
import { printable } from "../../tree/printable.ts";
import type { CommonOptions, Context } from "../context.ts";
import { exitCodes } from "../exit-code.ts";
import { publicPlan } from "../public-plan.ts";
import { renderPlan } from "../render-plan.ts";

/** Hashes everything again and compares it with the manifest. */
export async function run(context: Context, given?: string, own: CommonOptions = {}): Promise<number> {
  const { manifest: path, options } = context.sortOut(given, own);
  const { console } = context;
  context.listenForSignals();
  let manifest = await context.loadManifest(path);
  const session = await context.connect(manifest, options, false);
  try {
    if (manifest.usesSessionId) manifest = await context.loadManifest(path, session.id);
    const planned = await makePlan(manifest, session, {
      ...context.reconcileOptions(options, () => undefined),
      checksum: true,
    });
    const { plan, desired } = planned;
    const isEqual = plan.steps.length + plan.conflicts.length + plan.unsupported.length === 0;
    if (options.json === true)
      console.printData({
        type: "verify",
        sessionId: session.id,
        equal: isEqual,
        digest: desired.digest,
        plan: publicPlan(planned, context.hides),
      });
    else if (isEqual) {
      console.print(`Verified: ${printable(manifest.root)} equals ${printable(manifest.file)}, ${desired.digest}`);
    } else console.print(renderPlan(plan, console.ink, console.isVerbose));
    return isEqual ? exitCodes.done : exitCodes.changesPending;
  } finally {
    await session.close();
  }
}
