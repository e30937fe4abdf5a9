import { writeFileSync } from "node:fs";
import { dirname, relative, resolve, sep } from "node:path";
import { findManifest, readManifestBytes } from "../desired/load-manifest.ts";
import { readRegularFile } from "../environment/read-regular-file.ts";
import { AgbSyncError, hasCode, UsageError } from "../errors.ts";
import type { Plan } from "../plan/plan.ts";
import type { PlanRules, SavedPlan } from "../plan/saved-plan.ts";
import { changedOrigin, formatSavedPlan, looksLikeSavedPlan, matchSaved, parseSavedPlan } from "../plan/saved-plan.ts";
import type { Planned } from "../reconcile/planned.ts";
import { digestOf } from "../tree/digest.ts";
import { printable } from "../tree/printable.ts";
import type { CommonOptions, Context } from "./context.ts";
import { doing } from "./local-fault.ts";
import type { IsSensitive } from "./public-plan.ts";
import { hiddenIn } from "./public-plan.ts";

/** Longest plan that is read, in bytes: some two million steps. */
const MAX_PLAN_BYTES = 512 * 1024 * 1024;
/** How many paths a refusal names. */
const PATHS_NAMED = 10;

/** Writes a plan down beside what it takes to find and to recognise its manifest again. */
export async function writeSavedPlan(
  context: Context,
  out: string,
  {
    plan,
    hides,
    ...given
  }: {
    readonly plan: Plan;
    readonly hides: IsSensitive;
    readonly path: string | undefined;
    readonly options: CommonOptions;
  },
): Promise<void> {
  const file = resolve(context.cwd, out);
  const manifest = given.path === "-" ? "-" : resolve(context.cwd, findManifest(given.path, context.cwd));
  const fromHere = (path: string) => relative(dirname(file), resolve(context.cwd, path)).split(sep).join("/");
  const origin = {
    manifest: manifest === "-" ? manifest : fromHere(manifest),
    manifestDigest: digestOf(manifest === "-" ? await context.readStdin() : readManifestBytes(manifest)),
    vars: context.vars,
    envFiles: context.envFiles.map(fromHere),
    isLocal: given.options.local !== undefined,
    rules: rulesOf(given.options),
  };
  const text = formatSavedPlan(plan, origin, hides);
  doing(`write ${out}`, () => writeFileSync(file, text, { mode: 0o600 }));
}

/** What a saved plan asks of the apply: its manifest, and the options that it was made with. */
export type Resumed = {
  readonly saved: SavedPlan;
  readonly manifest: string;
  readonly options: CommonOptions;
};

/**
 * The saved plan that the argument names; undefined when it names a manifest.
 * @throws {AgbSyncError} `STALE_PLAN` when it is damaged, or its manifest or the values of `--var` are no longer the same.
 */
export async function resumeSavedPlan(
  context: Context,
  named: string | undefined,
  options: CommonOptions,
): Promise<Resumed | undefined> {
  const text = named === undefined ? undefined : textOfPlan(context, named);
  if (named === undefined || text === undefined) return undefined;
  const saved = parseSavedPlan(text, named);
  const directory = dirname(resolve(context.cwd, named));
  if (context.envFiles.length === 0) context.envFiles = saved.envFiles.map((file) => resolve(directory, file));
  const manifest = saved.manifest === "-" ? "-" : resolve(directory, saved.manifest);
  const manifestDigest = digestOf(manifest === "-" ? await context.readStdin() : bytesOf(manifest, named));
  const changed = changedOrigin(saved, { manifestDigest, vars: context.vars });
  if (changed === "manifest") {
    const which =
      manifest === "-"
        ? "the manifest on standard input is not the one that it was made from"
        : `${manifest} changed since it was made`;
    throw stale(which);
  }
  if (changed === "vars") {
    const given =
      saved.vars.length === 0 ? "no --var" : `other values of ${saved.vars.map((name) => `--var ${name}`).join(", ")}`;
    throw stale(`it was made with ${given}`, "give what it was made with, or make a new plan");
  }
  const isElsewhere = options.local === undefined && options.session === undefined;
  if (isElsewhere && saved.isLocal) {
    throw new UsageError(`${named} was made for a session embedded on this machine`, {
      hint: "add --local, with the directory that it had",
    });
  }
  // It is true unless somebody said otherwise.
  const moves = saved.rules.detectMoves === false ? { detectMoves: false } : {};
  const session = isElsewhere ? { session: saved.sessionId } : {};
  return { saved, manifest, options: { ...saved.rules, ...options, ...moves, ...session } };
}

/** What was saved, or a refusal that names what has changed since (S23). */
export function asSaved(
  planned: Planned,
  saved: SavedPlan,
  hides: IsSensitive,
): { readonly planned: Planned; readonly isDone: boolean } {
  const { plan } = planned;
  if (plan.sessionId !== saved.sessionId) {
    throw stale(
      `it was made for session ${saved.sessionId}, this is ${plan.sessionId}`,
      "make one for this session: agb-sync plan --out",
    );
  }
  if (plan.root !== saved.root) throw stale(`it was made for the root ${saved.root}, this is ${plan.root}`);
  const { changed, isDone, plan: narrowed } = matchSaved(saved, plan, planned.actual, hiddenIn(planned, hides));
  if (changed.length > 0) {
    const more = changed.length > PATHS_NAMED ? ` and ${changed.length - PATHS_NAMED} more` : "";
    throw stale(
      `these paths changed since it was made: ${changed.slice(0, PATHS_NAMED).map(printable).join(", ")}${more}`,
    );
  }
  const isWhole = narrowed.steps.length === plan.steps.length;
  return { isDone, planned: isWhole ? planned : { ...planned, plan: narrowed, isPartial: true, isSettled: false } };
}

/** By what is in it; a name that ends in `.json` is one of a plan unless a manifest is in it. */
function textOfPlan(context: Context, named: string): string | undefined {
  if (named === "-") return undefined;
  const found = readRegularFile(resolve(context.cwd, named), MAX_PLAN_BYTES);
  const isNamedSo = named.endsWith(".json");
  if (found.kind === "read") {
    const text = found.bytes.toString();
    return looksLikeSavedPlan(text) || (isNamedSo && !isManifest(text)) ? text : undefined;
  }
  if (!isNamedSo) return undefined;
  if (found.kind === "absent")
    throw new UsageError(`there is no ${named}`, { hint: "save a plan with: agb-sync plan --out" });
  const why = {
    odd: found.kind === "odd" ? `it is ${found.what}` : "",
    "too-large": "it is too large",
    unreadable: found.kind === "unreadable" ? found.reason : "",
  };
  throw new AgbSyncError("LOCAL_FAILED", `cannot read ${named}: ${why[found.kind]}`, { hint: "name a file" });
}

/** A manifest may be written as JSON. */
function isManifest(text: string): boolean {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && "root" in value && !("kind" in value);
  } catch {
    return false;
  }
}

function bytesOf(manifest: string, named: string): Buffer {
  try {
    return readManifestBytes(manifest);
  } catch (cause) {
    if (!hasCode(cause, "MANIFEST_NOT_FOUND")) throw cause;
    throw new AgbSyncError("STALE_PLAN", `the saved plan cannot be applied: its manifest ${manifest} is not there`, {
      hint: `${named} names it relative to itself: keep both where they were to each other, or make a new plan`,
      cause,
    });
  }
}

function stale(why: string, hint = "look at the new plan: agb-sync plan"): AgbSyncError {
  return new AgbSyncError("STALE_PLAN", `the saved plan cannot be applied: ${why}`, { hint });
}

function rulesOf({ onConflict, detectMoves, overwrite, keep }: CommonOptions): PlanRules {
  return {
    ...(onConflict === undefined ? {} : { onConflict }),
    ...(detectMoves === false ? { detectMoves } : {}),
    ...(overwrite === undefined ? {} : { overwrite }),
    ...(keep === undefined ? {} : { keep }),
  };
}
