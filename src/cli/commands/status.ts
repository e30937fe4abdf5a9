import { plural } from "../../plural.ts";
import { statusOf } from "../../reconcile/drift.ts";
import { printable } from "../../tree/printable.ts";
import type { CommonOptions, Context } from "../context.ts";
import { exitCodes } from "../exit-code.ts";
import { publicCommands, publicDrift } from "../public-plan.ts";
import { owedClause, renderOwed } from "../render-owed.ts";

/** Shows what changed in the session since the last apply. */
export async function run(context: Context, given?: string, own: CommonOptions = {}): Promise<number> {
  const { manifest: path, options } = context.sortOut(given, own);
  const { console } = context;
  context.listenForSignals();
  let manifest = await context.loadManifest(path);
  const session = await context.connect(manifest, options, false);
  try {
    manifest = context.forSession(manifest, session.id);
    const settings = context.reconcileOptions(options, () => undefined);
    const { isApplied, isLost, drift, owed } = await context.during("scanning the session", () =>
      statusOf(manifest, session, settings),
    );
    const root = printable(manifest.root);
    if (options.json === true)
      console.printData({
        type: "status",
        sessionId: session.id,
        root: manifest.root,
        applied: isApplied,
        drift: drift.map(publicDrift),
        owed: publicCommands(owed),
      });
    else if (isLost)
      console.print(`What the last apply left in ${root} is not known: its record cannot be used. See agb-sync plan.`);
    else if (!isApplied) console.print(`Nothing was applied to ${root} of this session yet: see agb-sync plan.`);
    else {
      for (const { path: changed, after } of drift) {
        const [marker, paint] =
          after === undefined ? (["- deleted ", "red"] as const) : (["~ changed ", "yellow"] as const);
        console.print(console.paint(paint, `  ${marker} ${printable(changed)}`));
      }
      for (const line of renderOwed(owed, console.ink)) console.print(line);
      const drifted =
        drift.length === 0
          ? `No drift: ${root} is as the last apply left it`
          : `${plural(drift.length, "path has", "paths have")} drifted since the last apply`;
      console.print(`${owed.length === 0 ? drifted : `${drifted}; ${owedClause(owed)}`}.`);
    }
    return isApplied && !isLost && drift.length + owed.length === 0 ? exitCodes.done : exitCodes.changesPending;
  } finally {
    await session.close();
  }
}
