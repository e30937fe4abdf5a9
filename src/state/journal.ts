import type { Transport } from "../transport/transport.ts";
import type { Base, BaseChange, BaseEntry } from "../tree/base.ts";
import { emptyBase, formatBaseHeader, formatBaseLine, parseRecords, recordsAt, withChanges } from "../tree/base.ts";
import type { Tree } from "../tree/entry.ts";
import { sameContent } from "../tree/entry.ts";
import type { WorkspacePath } from "../tree/workspace-path.ts";
import { statePath } from "../tree/workspace-path.ts";
import { readState, replaceState } from "./state-file.ts";

/** Where the journal is kept below the root. */
export const JOURNAL_PATH = statePath("journal.json");

/**
 * What the commit of one generation was about to put into place. It is written before the first of it is, and counts
 * until base says more: what a run that was cut off has left is then known for ours.
 */
export type Journal = {
  readonly generation: number;
  /** A path may have several: runs that were cut off one after the other. */
  readonly records: readonly (readonly [WorkspacePath, BaseEntry])[];
  /** Commands that are due for it. */
  readonly owed?: readonly string[];
};

const nothing: Journal = { generation: 0, records: [] };

/** Reads what `formatJournal` wrote. One that is damaged, foreign, or of another version knows nothing. */
export function parseJournal(
  text: string | undefined,
  { sessionId, root }: Pick<Transport, "sessionId" | "root">,
): Journal {
  const parsed = text === undefined ? nothing : parseRecords(text, sessionId, root);
  return "fault" in parsed ? nothing : parsed;
}

/** As text: base's header line, then one line a record. */
export function formatJournal(next: Base, records: Journal["records"]): string {
  const lines = new Set(records.map(([path, record]) => formatBaseLine(path, record)));
  return `${[formatBaseHeader(next), ...lines].join("\n")}\n`;
}

/** Reads the journal through file calls. Reads only. */
export async function readJournal(transport: Transport, signal: AbortSignal): Promise<Journal> {
  return parseJournal(await readState(transport, JOURNAL_PATH, signal), transport);
}

/** Notes what `changes` will make of base, `next`, beside what is noted there already for the same generation. */
export async function writeJournal(
  transport: Transport,
  next: Base,
  changes: readonly BaseChange[],
  before: Journal,
  signal: AbortSignal,
): Promise<void> {
  const records = recordsAt(next, changes);
  const older = before.generation === next.generation ? before : nothing;
  const noted = { ...next, owed: [...new Set([...(older.owed ?? []), ...next.owed])] };
  const text = formatJournal(noted, [...older.records, ...records]);
  await replaceState(transport, "journal.json", `journal.${next.generation}.new`, text, signal);
}

/** A journal that base has overtaken counts no more: one that cannot be removed is in nobody's way. */
export async function removeJournal(transport: Transport): Promise<void> {
  await transport.deleteFile(JOURNAL_PATH, AbortSignal.timeout(30_000)).catch(() => undefined);
}

/** Tells of a path whether agb-sync wrote there, as far as its state says. */
export function oursBy(base: Base | undefined, { records }: Journal): (path: WorkspacePath) => boolean {
  const noted = new Set(records.map(([path]) => path));
  return (path) => base?.entries.has(path) === true || noted.has(path);
}

/** Base as it would be had the runs that were cut off recorded what they did, and what it lacks for that. */
export type Recovered = { readonly base: Base | undefined; readonly recovered: readonly BaseChange[] };

/** Finds what of the journal `actual` holds and base does not know, and which commands it makes due. Pure. */
export function recover(
  stored: Base | undefined,
  journal: Journal,
  actual: Tree,
  binding: Pick<Transport, "sessionId" | "root">,
): Recovered {
  if (journal.generation !== (stored?.generation ?? 0) + 1) return { base: stored, recovered: [] };
  const recovered = journal.records.flatMap(([path, record]): BaseChange[] => {
    const found = actual.get(path);
    if (found === undefined || !sameContent(found, record.entry)) return [];
    return sameContent(found, stored?.entries.get(path)?.entry) ? [] : [{ path, after: record }];
  });
  const known = stored ?? emptyBase(binding.sessionId, binding.root);
  const owed = [...new Set([...known.owed, ...(journal.owed ?? [])])];
  if (recovered.length === 0 && owed.length === known.owed.length) return { base: stored, recovered };
  return { base: { ...withChanges(known, recovered), owed }, recovered };
}
