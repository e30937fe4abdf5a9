import { hasCode } from "../errors.ts";
import type { Transport } from "../transport/transport.ts";
import { statePath } from "../tree/workspace-path.ts";
import { listState, readState, replaceState } from "./state-file.ts";

/** Where replaced and deleted bytes of others are kept below the root, each apply in a directory of its own. */
export const BACKUPS_PATH = statePath("backup");

/** How many backups are kept. */
export const KEPT_BACKUPS = 5;

/** Holds the highest number that a backup of this workspace was given. */
const COUNTER_NAME = "counter";
const COUNTER_BYTES = 64;

/**
 * The most digits of a name that the counter is set by when it is lower or lost. The counter itself may have more, so that
 * a foreign directory with the highest such name still leaves room above it.
 */
const COUNTED_DIGITS = 12;

/** What a name begins with, for people: when the client thought it was. */
export function backupTime(now: Date): string {
  return now.toISOString().replaceAll(/[-:]|\.\d+/g, "");
}

/** `20260102T030405Z-000042`. The number, counted in the session, says in which order backups were made (S42). */
function nameOf(now: Date, number: number): string {
  return `${backupTime(now)}-${String(number).padStart(6, "0")}`;
}

/**
 * The place of a backup in the order of making: its number, or 0 for one from before backups were numbered, which ended
 * in random hex digits. Undefined for what agb-sync did not make.
 */
export function orderOf(name: string): number | undefined {
  const suffix = /^\d{8}T\d{6}Z-(\d{6,15}|[0-9a-f]{6})$/.exec(name)?.[1];
  if (suffix === undefined) return undefined;
  return /^\d+$/.test(suffix) ? Number(suffix) : 0;
}

/** Names in the order of making: what is not ours first, then those without a number by their time. Pure. */
export function inOrderOfMaking(names: readonly string[]): readonly string[] {
  const rank = (name: string) => orderOf(name) ?? -1;
  return names.toSorted((one, other) => rank(one) - rank(other) || (one < other ? -1 : 1));
}

/** The numbers that one holder of the lock gives to what it makes. */
export class BackupNumbers {
  readonly #transport: Transport;
  #last: Promise<number> | undefined;
  /** The first and the last that were given; the names of others may be higher than these only by chance. */
  given: { readonly first: number; readonly last: number } | undefined;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /**
   * The name of the next backup. The counter is counted up and stored before anything bears it, so that it is used once,
   * whatever clocks say and whoever is killed. Where the counter is lost, what is there says how far it was.
   */
  async next(now: Date, signal: AbortSignal): Promise<string> {
    const number = (this.#last ?? this.#read(signal)).then(async (last) => {
      await replaceState(this.#transport, COUNTER_NAME, `${COUNTER_NAME}.new`, `${last + 1}\n`, signal);
      this.given = { first: this.given?.first ?? last + 1, last: last + 1 };
      return last + 1;
    });
    this.#last = number;
    return nameOf(now, await number);
  }

  async #read(signal: AbortSignal): Promise<number> {
    const [text = "", names] = await Promise.all([this.#readCounter(signal), backupNames(this.#transport, signal)]);
    const counted = /^\d{1,15}$/.test(text.trim()) ? Number(text) : 0;
    const taken = new Set(names.map((name) => orderOf(name) ?? 0));
    let last = Math.max(counted, ...[...taken].filter((order) => order < 10 ** COUNTED_DIGITS));
    while (taken.has(last + 1)) last += 1;
    return last;
  }

  /** One that cannot be read is as good as lost; it is replaced by rename, which needs no permission on it. */
  async #readCounter(signal: AbortSignal): Promise<string | undefined> {
    try {
      return await readState(this.#transport, statePath(COUNTER_NAME), signal, COUNTER_BYTES);
    } catch (error) {
      if (hasCode(error, "PERMISSION_DENIED")) return undefined;
      throw error;
    }
  }
}

/** The directories among the backups, in no order. */
export async function backupNames(transport: Transport, signal: AbortSignal): Promise<readonly string[]> {
  const children = await listState(transport, BACKUPS_PATH, signal);
  return children.flatMap(({ name, kind }) => (kind === "directory" || kind === "unknown" ? [name] : []));
}
