import { AgbSyncError } from "../errors.ts";
import { comparePaths } from "../tree/workspace-path.ts";
import type { Plan, PlannedStep, Step } from "./plan.ts";

/** A plan that was written down to be applied later, with the manifest it came from. */
export type SavedPlan = {
  readonly manifest: string;
  readonly sessionId: string;
  readonly root: string;
  readonly madeFrom: Plan["madeFrom"];
  /** Each step as JSON text: what was approved, to the letter. */
  readonly steps: readonly string[];
};

const KIND = "agb-sync plan";

/** The same plan gives the same text (S37). Digests and names, never contents. */
export function formatSavedPlan(plan: Plan, manifest: string): string {
  const { sessionId, root, madeFrom } = plan;
  const steps = plan.steps.map(({ step }) => step);
  return `${JSON.stringify({ kind: KIND, version: 1, manifest, sessionId, root, madeFrom, steps }, null, 2)}\n`;
}

/** @throws {AgbSyncError} `STALE_PLAN` for text that is no saved plan of this version. */
export function parseSavedPlan(text: string, file: string): SavedPlan {
  const value = parseJson(text);
  const { kind, version, manifest, sessionId, root, madeFrom, steps } = value;
  const isPlan = kind === KIND && typeof manifest === "string" && typeof sessionId === "string";
  if (!isPlan || version !== 1 || typeof root !== "string" || !Array.isArray(steps)) {
    throw new AgbSyncError("STALE_PLAN", `${file} is not a plan of this version of agb-sync`, {
      hint: "make a new one with: agb-sync plan --out plan.json",
    });
  }
  const from: Partial<Plan["madeFrom"]> = { ...(typeof madeFrom === "object" ? madeFrom : {}) };
  return {
    manifest,
    sessionId,
    root,
    madeFrom: { desired: from.desired ?? "sha256:", actual: from.actual ?? "sha256:" },
    steps: steps.map((step: unknown) => JSON.stringify(step)),
  };
}

/**
 * The paths for which the current plan would no longer do what was saved (S23); empty: the saved plan still holds. What
 * has come to stand at, above or below a saved path counts: its step would then do more than was approved.
 */
export function changedSince(saved: SavedPlan, current: Plan): readonly string[] {
  const before = new Set(saved.steps);
  const now = new Set(current.steps.map(({ step }) => JSON.stringify(step)));
  const concerns = (path: string) =>
    saved.steps.some((step) => {
      const one = pathIn(step);
      const isBelow = path.startsWith(`${one}/`) && !step.includes('"op":"create-directory"');
      return one === path || one.startsWith(`${path}/`) || isBelow;
    });
  const gone = saved.steps.filter((step) => !now.has(step)).map(pathIn);
  const fresh = [...now].filter((step) => !before.has(step)).map(pathIn);
  const blocked = current.conflicts.map(({ path }) => path);
  return [...new Set([...gone, ...[...fresh, ...blocked].filter(concerns)])].toSorted(comparePaths);
}

/** The current plan without the steps that were not saved: what changed elsewhere is left for another apply. */
export function onlySaved(saved: SavedPlan, current: Plan): Plan {
  const wanted = new Set(saved.steps);
  const places = new Map<number, number>();
  const kept: { readonly step: Step; readonly after: readonly number[] }[] = [];
  current.steps.forEach((planned, index) => {
    if (!wanted.has(JSON.stringify(planned.step))) return;
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
  return { ...current, steps };
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
