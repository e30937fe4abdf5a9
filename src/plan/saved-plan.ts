import { scryptSync } from "node:crypto";
import { parseDocument } from "yaml";
import { AgbSyncError } from "../errors.ts";
import type { ConflictRule } from "../manifest/manifest.ts";
import type { Digest } from "../tree/digest.ts";
import type { Entry, Tree } from "../tree/entry.ts";
import type { WorkspacePath } from "../tree/workspace-path.ts";
import { comparePaths } from "../tree/workspace-path.ts";
import { pathsOf } from "./order-steps.ts";
import type { Plan, PlannedStep, Step } from "./plan.ts";
import { writtenStep } from "./written-step.ts";

/** What a plan was made from, beside the session: for finding it again, and for seeing that it is the same. */
export type PlanOrigin = {
  /** Relative to the plan's own directory, with `/`; `-` for standard input. */
  readonly manifest: string;
  /** Digest of the manifest's bytes. Never written down as it is: a manifest may hold a short secret. */
  readonly manifestDigest: Digest;
  /** `--var` */
  readonly vars: Readonly<Record<string, string>>;
  /** `--env-file`, relative to the plan's own directory. */
  readonly envFiles: readonly string[];
  /** It is a session embedded on this machine. */
  readonly isLocal: boolean;
  /** What else on the command line decided which steps there are. */
  readonly rules: PlanRules;
};

/** Options of `plan` that have to hold for `apply` too. */
export type PlanRules = {
  readonly onConflict?: ConflictRule;
  readonly detectMoves?: false;
  readonly overwrite?: readonly string[];
  readonly keep?: readonly string[];
};

/** A plan that was written down to be applied later. */
export type SavedPlan = Omit<PlanOrigin, "manifestDigest" | "vars"> & {
  readonly sessionId: string;
  readonly root: string;
  /** The names of `--var`. */
  readonly vars: readonly string[];
  /** What the manifest and the values of `vars` were, sealed. */
  readonly seals: { readonly manifest: string; readonly vars: string };
  /** Each step as JSON text: what was approved, to the letter. */
  readonly steps: readonly string[];
};

const KIND = "agb-sync plan";
/** 2: the manifest is named relative to the plan and sealed. */
const VERSION = 2;

/** Whether a path is marked sensitive. */
type IsSensitive = (path: WorkspacePath) => boolean;

/** Whether a text is meant to be a saved plan, damaged or not. */
export function looksLikeSavedPlan(text: string): boolean {
  return new RegExp(`^\\s*\\{\\s*"kind"\\s*:\\s*"${KIND}"`).test(text);
}

/**
 * The same plan gives the same text (S37). Digests and names, never contents. In place of the digests of a sensitive step
 * stands their scrypt, salted with session, root and step: a short secret could be read off a plain digest in no time, and
 * off one keyed with a key from this very file as well, while a guess at scrypt costs some 50 ms and 16 MB. Digests of the
 * whole trees are left out, as everything else in them may be known.
 */
export function formatSavedPlan(plan: Plan, origin: PlanOrigin, hides: IsSensitive): string {
  const { sessionId, root } = plan;
  const { manifest, manifestDigest, vars, envFiles, isLocal, rules } = origin;
  const seals = { manifest: sealOf(plan, manifestDigest), vars: sealOf(plan, vars) };
  const names = Object.keys(vars).toSorted();
  const steps = plan.steps.map(({ step, after }) => {
    const saved: unknown = JSON.parse(savedText(step, plan, hides));
    return { step: saved, after };
  });
  const head = { kind: KIND, version: VERSION, manifest, seals, vars: names, envFiles, isLocal, rules };
  return `${JSON.stringify({ ...head, sessionId, root, steps }, null, 2)}\n`;
}

/** @throws {AgbSyncError} `STALE_PLAN` for text that is no saved plan of this version, with the place where it is damaged. */
export function parseSavedPlan(text: string, file: string): SavedPlan {
  const value = parseJson(text);
  if (value === undefined) {
    throw refusal(`${file}${placeOfDamage(text)} is not a plan: it is damaged, or was not written to its end`);
  }
  const { kind, version, manifest, sessionId, root, steps, seals, vars, envFiles, isLocal } = value;
  if (kind !== KIND) throw refusal(`${file} is not a plan of agb-sync`);
  if (typeof version === "number" && version > VERSION) {
    throw refusal(`${file} is not a plan of this version of agb-sync, but of a newer one`, "update agb-sync, or ");
  }
  const isWhole =
    version === VERSION &&
    typeof manifest === "string" &&
    typeof sessionId === "string" &&
    typeof root === "string" &&
    Array.isArray(steps) &&
    typeof isLocal === "boolean" &&
    isTexts(vars) &&
    isTexts(envFiles);
  const { manifest: manifestSeal, vars: varsSeal } = recordOf(seals);
  if (!isWhole || typeof manifestSeal !== "string" || typeof varsSeal !== "string") {
    throw refusal(`${file} is not a plan of this version of agb-sync`);
  }
  return {
    manifest,
    seals: { manifest: manifestSeal, vars: varsSeal },
    vars,
    envFiles,
    isLocal,
    rules: rulesOf(recordOf(value["rules"])),
    sessionId,
    root,
    steps: steps.map((planned: unknown) => JSON.stringify(Object(planned).step ?? null)),
  };
}

/** What of the origin of a saved plan is no longer the same. */
export function changedOrigin(
  saved: SavedPlan,
  now: Pick<PlanOrigin, "manifestDigest" | "vars">,
): "manifest" | "vars" | undefined {
  if (sealOf(saved, now.manifestDigest) !== saved.seals.manifest) return "manifest";
  return sealOf(saved, now.vars) === saved.seals.vars ? undefined : "vars";
}

/** Slow to guess at, as the digests of what is sensitive are; of no names it needs no slowness. */
function sealOf(
  { sessionId, root }: Pick<Plan, "sessionId" | "root">,
  what: string | Readonly<Record<string, string>>,
): string {
  const entries =
    typeof what === "string" ? what : Object.entries(what).toSorted(([one], [other]) => (one < other ? -1 : 1));
  if (entries.length === 0) return "";
  return scryptSync(JSON.stringify(entries), JSON.stringify([sessionId, root]), 32).toString("base64url");
}

function refusal(message: string, first = ""): AgbSyncError {
  return new AgbSyncError("STALE_PLAN", message, {
    hint: `${first}make a new one with: agb-sync plan --out plan.json`,
  });
}

function rulesOf({ onConflict, detectMoves, overwrite, keep }: Readonly<Record<string, unknown>>): PlanRules {
  const isRule = onConflict === "skip" || onConflict === "overwrite" || onConflict === "keep";
  return {
    ...(isRule ? { onConflict } : {}),
    ...(detectMoves === false ? { detectMoves } : {}),
    ...(isTexts(overwrite) ? { overwrite } : {}),
    ...(isTexts(keep) ? { keep } : {}),
  };
}

function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((item) => typeof item === "string");
}

/** `:3:14`; empty where nobody can tell. */
function placeOfDamage(text: string): string {
  const [first] = parseDocument(text, { logLevel: "silent" }).errors;
  const { line, col } = first?.linePos?.[0] ?? {};
  return line === undefined || col === undefined ? "" : `:${line}:${col}`;
}

/** What became of a saved plan: the steps of the current one that were saved, or why they cannot be carried out. */
export type Matched = {
  /**
   * The paths for which the current plan would no longer do what was saved (S23); empty: the saved plan still holds. What
   * has come to stand at, above or below a saved path counts: its step would then do more than was approved.
   */
  readonly changed: readonly string[];
  /** Nothing of what was saved is left to do: all of it is what stands in the session, and is still what is declared. */
  readonly isDone: boolean;
  /** The current plan without the steps that were not saved: what changed elsewhere is left for another apply. */
  readonly plan: Plan;
};

export function matchSaved(saved: SavedPlan, current: Plan, actual: Tree, hides: IsSensitive): Matched {
  const texts = current.steps.map(({ step }) => savedText(step, current, hides));
  const now = new Set(texts);
  const wanted = new Set(saved.steps);
  const places = new Map<number, number>();
  const kept: { readonly step: Step; readonly after: readonly number[] }[] = [];
  current.steps.forEach((planned, index) => {
    if (!wanted.has(texts[index] ?? "")) return;
    places.set(index, kept.length);
    kept.push(planned);
  });
  const steps = kept.map(
    ({ step, after }): PlannedStep => ({
      step,
      after: after.flatMap((other) => {
        const place = places.get(other);
        return place === undefined ? [] : [place];
      }),
    }),
  );
  const concerns = (path: string) =>
    saved.steps.some((step) => {
      const one = pathIn(step);
      const isBelow = path.startsWith(`${one}/`) && !step.includes('"op":"create-directory"');
      return one === path || one.startsWith(`${path}/`) || isBelow;
    });
  const gone = saved.steps.filter((step) => !now.has(step)).map(pathIn);
  const fresh = texts.filter((step) => !wanted.has(step)).map(pathIn);
  const blocked = current.conflicts.map(({ path }) => path);
  const inTheWay = [...fresh, ...blocked].filter(concerns);
  const isDone =
    saved.steps.length > 0 &&
    gone.length === saved.steps.length &&
    inTheWay.length === 0 &&
    isEachInPlace(saved.steps, actual);
  const changed = isDone ? [] : [...new Set([...gone, ...inTheWay])].toSorted(comparePaths);
  return { changed, isDone, plan: { ...current, steps } };
}

/** A step as it stands in the file: JSON, with `sealed` for the digests of what is sensitive. */
function savedText(step: Step, plan: Plan, hides: IsSensitive): string {
  if (!pathsOf(step).some(hides)) return JSON.stringify(writtenStep(step));
  const digests: unknown[] = [];
  const rest = JSON.stringify(writtenStep(step), (key, value: unknown) => {
    if (key !== "digest") return value;
    digests.push(value);
    return undefined;
  });
  if (digests.length === 0) return rest;
  const salt = JSON.stringify([plan.sessionId, plan.root, rest]);
  const open: object = JSON.parse(rest);
  return JSON.stringify({ ...open, sealed: scryptSync(JSON.stringify(digests), salt, 32).toString("hex") });
}

function pathIn(step: string): string {
  const { path, to } = parseJson(step) ?? {};
  return typeof path === "string" ? path : String(to);
}

/** Whether what saved steps were to bring about is what stands there; a sealed digest is not compared. */
function isEachInPlace(steps: readonly string[], actual: Tree): boolean {
  const entries = new Map<unknown, Entry>(actual);
  return steps.every((step) => isInPlace(step, entries));
}

function isInPlace(step: string, entries: ReadonlyMap<unknown, Entry>): boolean {
  const { op, path, from, to, digest, mode: written, target } = parseJson(step) ?? {};
  const mode = typeof written === "string" ? Number.parseInt(written, 8) : written;
  const there = entries.get(path);
  switch (op) {
    case "create-directory":
      return there?.kind === "directory" && there.mode === mode;
    case "write":
      return there?.kind === "file" && there.mode === mode && (digest === undefined || there.digest === digest);
    case "create-link":
      return there?.kind === "link" && there.target === target;
    case "set-mode":
      return (there?.kind === "file" || there?.kind === "directory") && there.mode === mode;
    case "move":
      return !entries.has(from) && entries.has(to);
    case "delete":
      return there === undefined;
    default:
      return false;
  }
}

/** The value of a text when that is an object in JSON. */
function parseJson(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return recordOf(value);
  } catch {
    return undefined;
  }
}

function recordOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? { ...value } : {};
}
