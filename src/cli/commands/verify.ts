import { plural } from "../../plural.ts";
import { makePlan } from "../../reconcile/make-plan.ts";
import type { Planned } from "../../reconcile/planned.ts";
import type { Digest } from "../../tree/digest.ts";
import { printable } from "../../tree/printable.ts";
import { treeDigest } from "../../tree/tree-digest.ts";
import type { WorkspacePath } from "../../tree/workspace-path.ts";
import type { CommonOptions, Context } from "../context.ts";
import { exitCodes } from "../exit-code.ts";
import { publicPlan } from "../public-plan.ts";
import { owedClause } from "../render-owed.ts";
import { renderDifferences } from "../render-plan.ts";

/** Hashes everything again and compares it with the manifest. */
export async function run(context: Context, given?: string, own: CommonOptions = {}): Promise<number> {
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
    const equal = isSame && unreadable.length + owed.length === 0;
    const found = isSame ? digest : foundDigest(planned);
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
        owed: publicly.owed,
      });
    } else {
      const lines = renderDifferences(plan, unreadable, console.ink, { isFolded: console.folds, owed });
      for (const line of lines) console.print(line);
      const [root, file] = [printable(manifest.root), printable(manifest.file)];
      if (equal) console.print(`Verified: ${root} equals ${file}, ${digest}`);
      else if (isSame && unreadable.length === 0) console.print(`Not verified: ${owedClause(owed)}`);
      else if (isSame)
        console.print(`Not verified: ${plural(unreadable.length, "source")} of ${file} could not be read`);
      else console.print(`Differs: ${root} is not as ${file} declares: declared ${digest}, found ${found}`);
      for (const warning of plan.warnings) console.warn(warning);
    }
    if (unreadable.length > 0) return exitCodes.failed;
    return equal ? exitCodes.done : exitCodes.changesPending;
  } finally {
    await session.close();
  }
}

/** What stands in the session at the declared paths, and at those that the plan would clear. */
function foundDigest({ actual, desired, plan }: Planned): Digest {
  const concerned = new Set<WorkspacePath>(desired.tree.keys());
  for (const { step } of plan.steps) concerned.add(step.op === "move" ? step.from : step.path);
  for (const { path } of plan.conflicts) concerned.add(path);
  return treeDigest(new Map([...actual].filter(([path]) => concerned.has(path))));
}
