import { scryptSync } from "node:crypto";
import { AgbSyncError } from "../errors.ts";
import type { WorkspacePath } from "../tree/workspace-path.ts";
import { comparePaths } from "../tree/workspace-path.ts";
import { pathsOf } from "./order-steps.ts";
import type { Plan, PlannedStep, Step } from "./plan.ts";

/** A plan that was written down to be applied later, with the manifest it came from. */
export type SavedPlan = {
  readonly manifest: string;
  readonly sessionId: string;
  readonly root: string;
  /** Each step as JSON text: what was approved, to the letter. */
  readonly steps: readonly string[];
};

const KIND = "agb-sync plan";

/** Whether a path is marked sensitive. */
type IsSensitive = (path: WorkspacePath) => boolean;

/**
 * The same plan gives the same text (S37). Digests and names, never contents. In place of the digests of a sensitive step
 * stands their scrypt, salted with session, root and step: a short secret could be read off a plain digest in no time, and
 * off one keyed with a key from this very file as well, while a guess at scrypt costs some 50 ms and 16 MB. Digests of the
 * whole trees are left out, as everything else in them may be known.
 */
export function formatSavedPlan(plan: Plan, manifest: string, hides: IsSensitive): string {
  const { sessionId, root } = plan;
  const steps = plan.steps.map(({ step }): unknown => JSON.parse(savedText(step, plan, hides)));
  return `${JSON.stringify({ kind: KIND, version: 1, manifest, sessionId, root, steps }, null, 2)}\n`;
}

/** @throws {AgbSyncError} `STALE_PLAN` for text that is no saved plan of this version. */
export function parseSavedPlan(text: string, file: string): SavedPlan {
  const value = parseJson(text);
  const { kind, version, manifest, sessionId, root, steps } = value;
  const isPlan = kind === KIND && typeof manifest === "string" && typeof sessionId === "string";
  if (!isPlan || version !== 1 || typeof root !== "string" || !Array.isArray(steps)) {
    throw new AgbSyncError("STALE_PLAN", `${file} is not a plan of this version of agb-sync`, {
      hint: "make a new one with: agb-sync plan --out plan.json",
    });
  }
  return {
    manifest,
    sessionId,
    root,
    steps: steps.map((step: unknown) => JSON.stringify(step)),
  };
}

/** What became of a saved plan: the steps of the current one that were saved, or why they cannot be carried out. */
export type Matched = {
  /**
   * The paths for which the current plan would no longer do what was saved (S23); empty: the saved plan still holds. What
   * has come to stand at, above or below a saved path counts: its step would then do more than was approved.
   */
  readonly changed: readonly string[];
  /** The current plan without the steps that were not saved: what changed elsewhere is left for another apply. */
  readonly plan: Plan;
};

export function matchSaved(saved: SavedPlan, current: Plan, hides: IsSensitive): Matched {
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
  const changed = [...new Set([...gone, ...[...fresh, ...blocked].filter(concerns)])].toSorted(comparePaths);
  return { changed, plan: { ...current, steps } };
}

/** A step as it stands in the file: JSON, with `sealed` for the digests of what is sensitive. */
function savedText(step: Step, plan: Plan, hides: IsSensitive): string {
  if (!pathsOf(step).some(hides)) return JSON.stringify(step);
  const digests: unknown[] = [];
  const rest = JSON.stringify(step, (key, value: unknown) => {
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
  const { path, to } = parseJson(step);
  return typeof path === "string" ? path : String(to);
}

function parseJson(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? { ...value } : {};
  } catch {
    return {};
  }
}
