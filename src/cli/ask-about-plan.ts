import type { Conflict } from "../plan/plan.ts";
import type { Settlement, Settlements } from "../plan/settlements.ts";
import type { Planned } from "../reconcile/planned.ts";
import { printable } from "../tree/printable.ts";
import type { WorkspacePath } from "../tree/workspace-path.ts";
import { ask } from "./ask.ts";
import type { Context } from "./context.ts";
import { hiddenIn } from "./public-plan.ts";
import { countsForQuestion } from "./render-plan.ts";

/** What the person at the terminal wants: the plan as it was shown, none, or one in which conflicts are settled. */
export type Wish = "apply" | "no" | Settlements;

type Setting = {
  /** False: `--no-backup`. */
  readonly hasBackup: boolean;
  /** Conflicts that were asked about before; those of this plan are added. Undefined: none is to be asked about. */
  readonly asked: Set<WorkspacePath> | undefined;
};

/** Asks about each conflict that is new, then whether what deletes or replaces is to be done. */
export async function askAboutPlan(context: Context, planned: Planned, setting: Setting): Promise<Wish> {
  const settlements = await askAboutConflicts(context, planned, setting);
  if (settlements === undefined) return "no";
  if (settlements.size > 0) return settlements;
  if (!isDestructive(planned)) return "apply";
  const question = `${countsForQuestion(planned.plan, setting.hasBackup)} Apply this? [y/N] `;
  return (await ask(context, question, ["yes", "no"], "no")) === "yes" ? "apply" : "no";
}

/** Undefined at the end of the input. */
async function askAboutConflicts(
  context: Context,
  planned: Planned,
  { hasBackup, asked }: Setting,
): Promise<Settlements | undefined> {
  const settlements = new Map<WorkspacePath, Settlement>();
  if (asked === undefined) return settlements;
  const open = planned.plan.conflicts.filter(({ path, settledBy }) => settledBy?.length !== 0 && !asked.has(path));
  for (const { path } of open) asked.add(path);
  let forAll: Settlement | "skip" | undefined;
  for (const [index, conflict] of open.entries()) {
    const left = open.length - index;
    const answer = forAll ?? (await askAbout(context, planned, conflict, { index, left, hasBackup }));
    if (answer === undefined) return undefined;
    const decision = answer === "all" ? await askAboutAll(context, open.slice(index), hasBackup) : answer;
    if (decision === undefined) return undefined;
    if (answer === "all") forAll = decision;
    if (decision !== "skip" && waysOf(conflict).includes(decision)) settlements.set(conflict.path, decision);
  }
  return settlements;
}

type Place = { readonly index: number; readonly left: number; readonly hasBackup: boolean };

/** Shows the difference as often as it is wanted. */
async function askAbout(context: Context, planned: Planned, conflict: Conflict, { index, left, hasBackup }: Place) {
  const ways = waysOf(conflict);
  const choices = ["diff", ...ways, "skip", ...(left > 1 ? (["all"] as const) : [])] as const;
  const offers = ["[d]iff", ...offersOf(ways, hasBackup), ...(left > 1 ? [`[a]ll ${left} of these`] : [])];
  const count = index + left > 1 ? ` (${index + 1} of ${index + left})` : "";
  const question = `${printable(conflict.path)}${count}: ${offers.join(", ")}? [s] `;
  for (;;) {
    const answer = await ask(context, question, choices, "skip");
    if (answer !== "diff") return answer;
    const { renderConflict } = await import("./render-diff.ts");
    const { console } = context;
    console.print(await renderConflict(conflict, planned, hiddenIn(planned, context.hides), console.ink));
  }
}

async function askAboutAll(context: Context, conflicts: readonly Conflict[], hasBackup: boolean) {
  const ways = (["overwrite", "keep"] as const).filter((way) => conflicts.some((one) => waysOf(one).includes(way)));
  const question = `all ${conflicts.length}: ${offersOf(ways, hasBackup).join(", ")}? [s] `;
  return await ask(context, question, [...ways, "skip"], "skip");
}

function offersOf(ways: readonly Settlement[], hasBackup: boolean): readonly string[] {
  const texts = {
    overwrite: `[o]verwrite ${hasBackup ? "after" : "without"} a backup`,
    keep: "[k]eep the session's",
  };
  return [...ways.map((way) => texts[way]), "[s]kip"];
}

function waysOf({ settledBy = ["overwrite", "keep"] }: Conflict): readonly Settlement[] {
  return settledBy;
}

/** Deletions, and foreign bytes that are replaced. */
function isDestructive(planned: Planned): boolean {
  return planned.plan.steps.some(({ step }) => step.op === "delete" || ("backup" in step && step.backup));
}
