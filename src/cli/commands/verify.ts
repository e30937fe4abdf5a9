import { UsageError } from "../../errors.ts";
import type { Manifest } from "../../manifest/manifest.ts";
import { plural } from "../../plural.ts";
import { foundDigest } from "../../reconcile/found-digest.ts";
import { makePlan } from "../../reconcile/make-plan.ts";
import type { Planned } from "../../reconcile/planned.ts";
import { unmanagedIn } from "../../reconcile/unmanaged.ts";
import type { Digest } from "../../tree/digest.ts";
import { digestFromHex } from "../../tree/digest.ts";
import { printable } from "../../tree/printable.ts";
import type { WorkspacePath } from "../../tree/workspace-path.ts";
import type { CommonOptions, Context } from "../context.ts";
import { exitCodes } from "../exit-code.ts";
import { publicPlan } from "../public-plan.ts";
import { owedClause } from "../render-owed.ts";
import { renderDifferences } from "../render-plan.ts";

type Options = CommonOptions & { readonly allowKept?: boolean; readonly against?: string };

/** What was found when everything had been hashed. */
type Verdict = {
  readonly planned: Planned;
  readonly found: Digest;
  /** Nothing differs but what is kept. */
  readonly isRead: boolean;
  readonly equal: boolean;
  /** With `--against`: the digest that was asked for, and what stands there beside what it is made of. */
  readonly against?: { readonly digest: Digest; readonly unmanaged: readonly WorkspacePath[]; readonly isMet: boolean };
};

/** Hashes everything again and compares it with the manifest, and with a digest where one is given. */
export async function run(context: Context, given?: string, own: Options = {}): Promise<number> {
  const { manifest: path, options } = context.sortOut(given, own);
  const against = own.against === undefined ? undefined : digestGiven(own.against);
  context.listenForSignals();
  let manifest = await context.loadManifestFor(path, options);
  const session = await context.connect(manifest, options, false);
  try {
    manifest = context.forSession(manifest, session.id);
    const progress = context.progress({ ...options, json: false });
    const planned = await makePlan(manifest, session, {
      ...context.reconcileOptions(options, progress.onEvent),
      checksum: true,
      listsUnmanaged: against !== undefined,
    });
    progress.clear();
    const verdict = await judge(planned, against, context.signal);
    if (options.json === true) printJson(context, verdict);
    else printVerdict(context, verdict, manifest, own.allowKept === true);
    if (planned.desired.unreadable.length > 0) return exitCodes.failed;
    const isAccepted = verdict.equal || (verdict.isRead && own.allowKept === true);
    return isAccepted && verdict.against?.isMet !== false ? exitCodes.done : exitCodes.changesPending;
  } finally {
    await session.close();
  }
}

/** `sha256:` and 64 hex digits, or these alone. @throws {UsageError}. */
function digestGiven(text: string): Digest {
  const digest = digestFromHex(text.replace(/^sha256:/i, ""));
  if (digest !== undefined) return digest;
  throw new UsageError(`--against ${JSON.stringify(text)} is no digest`, {
    hint: "give the sha256:... that apply or verify printed, with its 64 digits",
  });
}

async function judge(planned: Planned, digest: Digest | undefined, signal: AbortSignal): Promise<Verdict> {
  const { plan, desired, owed } = planned;
  const isSame = plan.steps.length + plan.conflicts.length + plan.unsupported.length === 0;
  const isRead = isSame && desired.unreadable.length + owed.length === 0;
  const equal = isRead && plan.kept.length === 0;
  const found = await foundDigest(planned, signal);
  if (digest === undefined) return { planned, found, isRead, equal };
  const unmanaged = unmanagedIn(planned);
  const isMet = digest === found && unmanaged.length === 0;
  return { planned, found, isRead, equal, against: { digest, unmanaged, isMet } };
}

function printJson({ console, hides }: Context, { planned, found, equal, against }: Verdict): void {
  const { plan, desired } = planned;
  const publicly = publicPlan(planned, hides);
  console.printData({
    type: "verify",
    sessionId: plan.sessionId,
    equal,
    digest: desired.digest,
    found,
    plan: publicly,
    unreadable: desired.unreadable,
    kept: plan.kept,
    owed: publicly.owed,
    ...(against === undefined ? {} : { against: against.digest, matches: against.isMet, unmanaged: against.unmanaged }),
  });
}

function printVerdict(context: Context, verdict: Verdict, manifest: Manifest, isAllowed: boolean): void {
  const { console } = context;
  const { planned, found, isRead, equal, against } = verdict;
  const { plan, desired, owed } = planned;
  const { unreadable, digest } = desired;
  const isSame = plan.steps.length + plan.conflicts.length + plan.unsupported.length === 0;
  const lines = renderDifferences(plan, unreadable, console.ink, { isFolded: console.folds, owed });
  for (const line of lines) console.print(line);
  for (const path of against?.unmanaged ?? []) {
    const isDirectory = planned.actual.get(path)?.kind === "directory";
    console.print(console.paint("yellow", `  ? ${printable(path)}${isDirectory ? "/" : ""}: not declared`));
  }
  const [root, file] = [printable(manifest.root), printable(manifest.file)];
  if (equal && against?.isMet !== false) console.print(`Verified: ${root} equals ${file}, ${found}`);
  else if (equal) console.print(`${root} equals ${file}, ${found}`);
  else if (isRead) {
    const what = `${plural(plan.kept.length, "path is", "paths are")} kept as the session has ${plan.kept.length === 1 ? "it" : "them"}`;
    console.print(`${isAllowed ? "Verified but for" : "Differs:"} ${what}: declared ${digest}, found ${found}`);
    if (!isAllowed)
      console.print("allow that with --allow-kept, or settle it with agb-sync apply --on-conflict overwrite");
  } else if (isSame && unreadable.length === 0) console.print(`Not verified: ${owedClause(owed)}`);
  else if (isSame) console.print(`Not verified: ${plural(unreadable.length, "source")} of ${file} could not be read`);
  else console.print(`Differs: ${root} is not as ${file} declares: declared ${digest}, found ${found}`);
  if (against !== undefined && !against.isMet) {
    const count = plural(against.unmanaged.length, "path that nobody declared is", "paths that nobody declared are");
    const why = against.digest === found ? `${count} there beside it` : `found ${found}`;
    console.print(`Differs from --against ${against.digest}: ${why}`);
  }
  for (const warning of plan.warnings) console.warn(warning);
}
