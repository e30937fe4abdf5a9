import { plural } from "../../plural.ts";
import { drift } from "../../reconcile/drift.ts";
import { printable } from "../../tree/printable.ts";
import type { CommonOptions, Context } from "../context.ts";
import { exitCodes } from "../exit-code.ts";
import { publicDrift } from "../public-plan.ts";

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
    const changes = await context.during("scanning the session", () => drift(manifest, session, settings));
    if (options.json === true)
      console.printData({
        type: "status",
        sessionId: session.id,
        root: manifest.root,
        drift: changes.map(publicDrift),
      });
    else if (changes.length === 0) console.print(`No drift: ${printable(manifest.root)} is as the last apply left it.`);
    else {
      for (const { path: changed, after } of changes) {
        const [marker, paint] =
          after === undefined ? (["- deleted ", "red"] as const) : (["~ changed ", "yellow"] as const);
        console.print(console.paint(paint, `  ${marker} ${printable(changed)}`));
      }
      console.print(`\n${plural(changes.length, "path has", "paths have")} drifted since the last apply.`);
    }
    return changes.length === 0 ? exitCodes.done : exitCodes.changesPending;
  } finally {
    await session.close();
  }
}
