import type { Digest } from "./digest.ts";
import { isDigest } from "./digest.ts";
import type { Entry } from "./entry.ts";
import type { WorkspacePath } from "./workspace-path.ts";
import { comparePaths, statePath, workspacePath } from "./workspace-path.ts";

/** Where base is kept below the root: one snapshot and the changes since, each a file replaced by rename. */
export const BASE_PATH = statePath("base.json");

/** What base knows of one path: the entry as applied, or as kept (the session's version, accepted by `keep`). */
export type BaseEntry = {
  readonly entry: Entry;
  /** For a kept path: the digest of the desired content that was passed over; reported again once that changes. */
  readonly keptOver?: Digest;
  /** The bytes were declared sensitive: they are not shown when they are replaced either. */
  readonly sensitive?: true;
  /** A guard kept it from being deleted; that holds until it is allowed, or desired again (S43). */
  readonly heldBack?: true;
};

/** What the last apply left, bound to one session and root. */
export type Base = {
  readonly sessionId: string;
  readonly root: string;
  /** Grows by one with every commit. */
  readonly generation: number;
  /** Digest of the desired tree when that commit left nothing open; undefined otherwise. */
  readonly desiredDigest: Digest | undefined;
  /** A guard kept files that base does not know (`prune: all`) from being deleted; as `heldBack` of an entry. */
  readonly isGuarded: boolean;
  /** Commands that are due and have not run to their end, each as `owedKey` gives it (S40). */
  readonly owed: readonly string[];
  readonly entries: ReadonlyMap<WorkspacePath, BaseEntry>;
};

/** What base says beside its entries. */
export type BaseHeader = Pick<Base, "desiredDigest" | "isGuarded" | "owed">;

/** One path's new record, or its removal. */
export type BaseChange = { readonly path: WorkspacePath; readonly after: BaseEntry | undefined };

export function headerOf({ desiredDigest, isGuarded, owed }: Base): BaseHeader {
  return { desiredDigest, isGuarded, owed };
}

/** Base with `changes` made, `header` set and the generation counted up. Pure. */
export function changeBase(base: Base, changes: readonly BaseChange[], header: BaseHeader): Base {
  return { ...withChanges(base, changes), ...header, generation: base.generation + 1 };
}

/** Base with `changes` made, and of the same generation. Pure. */
export function withChanges(base: Base, changes: readonly BaseChange[]): Base {
  const entries = new Map(base.entries);
  for (const { path, after } of changes) {
    if (after === undefined) entries.delete(path);
    else entries.set(path, after);
  }
  return { ...base, entries };
}

/** What `base` says of the paths that `changes` name, each once. */
export function recordsAt(
  base: Base,
  changes: readonly Pick<BaseChange, "path">[],
): readonly (readonly [WorkspacePath, BaseEntry])[] {
  return [...new Set(changes.map(({ path }) => path))].flatMap((path) => {
    const record = base.entries.get(path);
    return record === undefined ? [] : [[path, record] as const];
  });
}

/** A base that knows nothing yet. */
export function emptyBase(sessionId: string, root: string): Base {
  return { sessionId, root, generation: 0, desiredDigest: undefined, isGuarded: false, owed: [], entries: new Map() };
}

/** The first line of base as text. */
export function formatBaseHeader(base: Base): string {
  return JSON.stringify({
    version: 1,
    sessionId: base.sessionId,
    root: base.root,
    generation: base.generation,
    desired: base.desiredDigest ?? null,
    ...(base.isGuarded ? { guarded: true } : {}),
    ...(base.owed.length > 0 ? { owed: base.owed } : {}),
    count: base.entries.size,
  });
}

/** The line of one path. */
export function formatBaseLine(path: WorkspacePath, { entry, keptOver, sensitive, heldBack }: BaseEntry): string {
  const marks = [...(sensitive ? [SENSITIVE] : []), ...(heldBack ? [HELD_BACK] : [])];
  const kept = keptOver === undefined && marks.length === 0 ? [] : [keptOver ?? null];
  return JSON.stringify([path, ...recordOf(entry), ...kept, ...marks]);
}

const SENSITIVE = "sensitive";
const HELD_BACK = "held";

/** Base as text, the same for the same base: one header line, then one JSON line a path in path order. */
export function formatBase(base: Base): string {
  const lines = [...base.entries]
    .toSorted(([one], [other]) => comparePaths(one, other))
    .map(([path, entry]) => formatBaseLine(path, entry));
  return `${[formatBaseHeader(base), ...lines].join("\n")}\n`;
}

/**
 * Reads what `formatBase` wrote. Returns a reason instead of a base when the text is damaged, newer, or bound to
 * another session or root: such a base is treated as absent (S17, S31).
 */
export function parseBase(text: string, sessionId: string, root: string): Base | Fault {
  const parsed = parseRecords(text, sessionId, root);
  if ("fault" in parsed) return parsed;
  const { count, records, ...header } = parsed;
  if (records.length !== count) return { fault: "is cut short" };
  return { sessionId, root, ...header, entries: new Map(records) };
}

/** Why a stored text cannot be used, to be read after its name. */
export type Fault = { readonly fault: string };

/** A header line and the records after it, which may be more or fewer than it counts. */
export type Records = BaseHeader & {
  readonly generation: number;
  readonly count: unknown;
  readonly records: readonly (readonly [WorkspacePath, BaseEntry])[];
};

/** Reads the lines of a text that belongs to this session and root. */
export function parseRecords(text: string, sessionId: string, root: string): Records | Fault {
  try {
    const [first = "", ...rest] = text.split("\n");
    const header: unknown = JSON.parse(first);
    if (!isRecord(header)) return { fault: "is damaged" };
    if (header["version"] !== 1) return { fault: "was written by another version of agb-sync" };
    if (header["sessionId"] !== sessionId) return { fault: "belongs to another session" };
    if (header["root"] !== root) return { fault: "belongs to another root" };
    const { generation, desired, guarded, owed, count } = header;
    if (typeof generation !== "number" || !Number.isSafeInteger(generation)) return { fault: "is damaged" };
    if (rest.pop() !== "") return { fault: "is cut short" };
    const lines: unknown = JSON.parse(`[${rest.join(",")}]`);
    if (!Array.isArray(lines) || lines.length !== rest.length) return { fault: "is damaged" };
    const records: (readonly [WorkspacePath, BaseEntry])[] = [];
    for (const line of lines) {
      if (!Array.isArray(line) || typeof line[0] !== "string") return { fault: "is damaged" };
      const parsed = parseRecord(line.slice(1));
      if (parsed === undefined) return { fault: "is damaged" };
      records.push([workspacePath(line[0]), parsed]);
    }
    const desiredDigest = typeof desired === "string" && isDigest(desired) ? desired : undefined;
    return { generation, desiredDigest, isGuarded: guarded === true, owed: keysIn(owed), count, records };
  } catch (error) {
    return { fault: `is damaged (${error instanceof Error ? error.message : String(error)})` };
  }
}

function keysIn(owed: unknown): readonly string[] {
  const keys: readonly unknown[] = Array.isArray(owed) ? owed : [];
  return keys.filter((key): key is string => typeof key === "string" && /^[0-9a-f]{16}\.[0-9a-f]{16}$/.test(key));
}

type BaseRecord = readonly (string | number | null)[];

function recordOf(entry: Entry): BaseRecord {
  switch (entry.kind) {
    case "directory":
      return ["d", entry.mode ?? null];
    case "file":
      return ["f", entry.mode ?? null, entry.sizeBytes, entry.digest ?? null];
    case "link":
      return ["l", entry.target ?? null];
    case "special":
      return ["s"];
  }
}

function parseRecord(record: readonly unknown[]): BaseEntry | undefined {
  const [kind, one, two, three] = record;
  const mode = typeof one === "number" ? { mode: one } : {};
  switch (kind) {
    case "d":
      return withMarks({ kind: "directory", ...mode }, record.slice(2));
    case "f": {
      if (typeof two !== "number") return undefined;
      const marks = record.slice(4);
      if (three === null) return withMarks({ kind: "file", ...mode, sizeBytes: two }, marks);
      if (typeof three !== "string" || !isDigest(three)) return undefined;
      return withMarks({ kind: "file", ...mode, sizeBytes: two, digest: three }, marks);
    }
    case "l":
      return withMarks({ kind: "link", ...(typeof one === "string" ? { target: one } : {}) }, record.slice(2));
    case "s":
      return withMarks({ kind: "special" }, record.slice(1));
    default:
      return undefined;
  }
}

function withMarks(entry: Entry, [kept, ...marks]: readonly unknown[]): BaseEntry {
  return {
    entry,
    ...(typeof kept === "string" && isDigest(kept) ? { keptOver: kept } : {}),
    ...(marks.includes(SENSITIVE) ? { sensitive: true } : {}),
    ...(marks.includes(HELD_BACK) ? { heldBack: true } : {}),
  };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
