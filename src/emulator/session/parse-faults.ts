import { UsageError } from "../../errors.ts";
import type { Action } from "./action.ts";

const kinds = [
  "500",
  "502",
  "503",
  "504",
  "429",
  "reset",
  "timeout",
  "slow",
  "truncate",
  "cut",
  "lie",
  "drop-before",
  "drop-after",
  "half",
] as const;

type FaultKind = (typeof kinds)[number];

/** Faults that strike by chance or after a number of requests. */
export type Faults = {
  readonly random: readonly { readonly kind: FaultKind; readonly probability: number }[];
  /** From this request on every connection is broken, as if the service had died. */
  readonly killAfter?: number;
  /** At this request every session ends. */
  readonly expireAfter?: number;
  /** From this request on the disks of all sessions are full. */
  readonly diskFullAfter?: number;
};

const defaultProbability = 0.1;

/**
 * Reads `500:0.05,429,reset,timeout,slow`: kinds with a probability each (default 0.1), and the counted faults
 * `kill-after=N`, `expire-after=N` and `disk-full` or `disk-full=N`.
 * @throws {UsageError} on an unknown name, a probability outside 0 to 1 or a count that is none.
 */
export function parseFaults(text: string): Faults {
  const random: { kind: FaultKind; probability: number }[] = [];
  const counted: { killAfter?: number; expireAfter?: number; diskFullAfter?: number } = {};
  for (const part of text.split(",")) {
    const item = part.trim();
    if (item === "") continue;
    const [name = "", count] = item.split("=", 2);
    if (name === "kill-after") counted.killAfter = parseCount(item, count);
    else if (name === "expire-after") counted.expireAfter = parseCount(item, count);
    else if (name === "disk-full") counted.diskFullAfter = count === undefined ? 0 : parseCount(item, count);
    else random.push(parseRandom(item));
  }
  return { random, ...counted };
}

function parseCount(item: string, count: string | undefined): number {
  if (count !== undefined && /^\d{1,9}$/.test(count)) return Number(count);
  throw new UsageError(`--fault: ${JSON.stringify(item)} needs a number of requests`, {
    hint: 'write for example "kill-after=20"',
  });
}

function parseRandom(item: string): { kind: FaultKind; probability: number } {
  const [name = "", odds] = item.split(":", 2);
  const kind = kinds.find((known) => known === name);
  if (kind === undefined) {
    throw new UsageError(`--fault: ${JSON.stringify(name)} is not a fault`, {
      hint: `use one of ${kinds.join(", ")}, kill-after=N, expire-after=N, disk-full`,
    });
  }
  const probability = odds === undefined ? defaultProbability : Number(odds);
  if (odds === "" || !(probability >= 0 && probability <= 1)) {
    throw new UsageError(`--fault: the probability of ${JSON.stringify(item)} is not between 0 and 1`, {
      hint: 'write for example "500:0.05"',
    });
  }
  return { kind, probability };
}

/**
 * What random faults do to the next request. Draws once for each kind, in the order given, so one seed gives one
 * series. Where a fault may strike before or after the work, both happen equally often.
 */
export function drawFault(faults: Faults, random: () => number): Action | undefined {
  for (const { kind, probability } of faults.random) {
    if (random() < probability) return actionOf(kind, random);
  }
  return undefined;
}

function actionOf(kind: FaultKind, random: () => number): Action {
  switch (kind) {
    case "500":
    case "502":
    case "503":
    case "504":
      return { status: Number(kind), after: random() < 0.5 };
    case "429":
      return { status: 429 };
    case "reset":
      return random() < 0.5 ? "drop-before" : "drop-after";
    case "timeout":
      return random() < 0.5 ? "hang-before" : "hang-after";
    case "slow":
      return { delayMs: 100 + Math.round(random() * 900) };
    case "truncate":
    case "cut":
    case "lie":
    case "drop-before":
    case "drop-after":
    case "half":
      return kind;
  }
}

/** A small generator of numbers in [0, 1) that repeats itself for equal seeds (mulberry32). */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
