import type { Stats } from "node:fs";
import type { Clock } from "../clock.ts";
import type { FileVersion } from "../desired/file-version.ts";
import { keyOf } from "../desired/file-version.ts";
import { statsOf } from "./file-identity.ts";

/** Hints at a file that are no further apart than this are one piece of writing. */
const GAP_MS = 100;
/** A file that is written to for longer than this must not hold up the others. */
const HOT_MS = 300;
/** Files whose hints are followed; more than that is a burst, not writing. */
const MOST_FOLLOWED = 1000;
/** A file that lost all its bytes gets new ones within this time, even from a writer that the machine keeps waiting. */
const EMPTIED_MS = 500;
/** Reading a file that does not hold still may take up this part of the time. */
const READING_SHARE = 10;
/** Tries without a consistent reading after which that is worth telling. */
const TRIES_TOLD = 2;

type Held = {
  /** The version that was seen last, and since when it is there. */
  key: string;
  sinceMs: number;
  triedMs: number;
  /** How long after a try the next one may be. */
  patienceMs: number;
  isTry: boolean;
  failures: number;
  /** It had bytes before: while it has none it is to be still for longer. */
  wasFull: boolean;
};

/**
 * Files that are being written. They are held back until they have been still for the quiet time, or for the longest
 * wait: then one consistent snapshot is tried (W7, W8). They are watched by looking at them, not by hints.
 */
export class UnsettledFiles {
  readonly #clock: Clock;
  readonly #quietMs: number;
  readonly #longestMs: number;
  readonly #writing = new Map<string, { readonly sinceMs: number; lastMs: number }>();
  readonly #held = new Map<string, Held>();

  constructor(clock: Clock, quietMs: number, longestMs: number) {
    this.#clock = clock;
    this.#quietMs = quietMs;
    this.#longestMs = longestMs;
  }

  /** Files that are held back now. */
  get paths(): Iterable<string> {
    return this.#held.keys();
  }

  /** Files of which no consistent reading could be had for a while. */
  get restless(): readonly string[] {
    return [...this.#held].flatMap(([path, { failures }]) => (failures >= TRIES_TOLD ? [path] : []));
  }

  /** Notes a hint at a file; true when nobody needs to look because of it. */
  touch(localPath: string): boolean {
    if (this.#held.has(localPath)) return true;
    const nowMs = this.#clock.now();
    const writing = this.#writing.get(localPath);
    if (writing === undefined || nowMs - writing.lastMs > GAP_MS) {
      if (this.#writing.size >= MOST_FOLLOWED) this.#writing.clear();
      this.#writing.set(localPath, { sinceMs: nowMs, lastMs: nowMs });
      return false;
    }
    writing.lastMs = nowMs;
    if (nowMs - writing.sinceMs >= HOT_MS) this.hold(localPath);
    return false;
  }

  /** Holds a file back from now on; `wasFull`: it was applied with bytes. */
  hold(localPath: string, wasFull = false): void {
    const nowMs = this.#clock.now();
    const patienceMs = this.#longestMs;
    const before = this.#held.get(localPath);
    this.#writing.delete(localPath);
    this.#held.set(localPath, {
      key: keyFrom(statsOf(localPath)),
      sinceMs: nowMs,
      triedMs: nowMs,
      patienceMs,
      isTry: false,
      failures: before?.failures ?? 0,
      wasFull: wasFull || before?.wasFull === true,
    });
  }

  isHeld(localPath: string): boolean {
    return this.#held.has(localPath);
  }

  /**
   * Whether the file is to be left alone; false once for every try at a snapshot. One that has no bytes since this
   * moment, as `empty` says, is most likely being written, and all the more when it had some, as `wasFull` says.
   */
  isUnsettled(localPath: string, empty: FileVersion | undefined, wasFull: boolean): boolean {
    const held = this.#held.get(localPath);
    if (held === undefined) {
      const isYoung = empty !== undefined && Math.abs(Date.now() - empty.changedMs) < this.#stillMs(wasFull);
      if (isYoung) this.hold(localPath, wasFull);
      return isYoung;
    }
    if (!held.isTry) return true;
    held.isTry = false;
    held.triedMs = this.#clock.now();
    return false;
  }

  /** What came of reading a file: whether it was the same before and after. */
  noteReading(localPath: string, isConsistent: boolean): void {
    const held = this.#held.get(localPath);
    if (isConsistent) {
      if (held !== undefined) held.failures = 0;
      return;
    }
    if (held === undefined) {
      this.hold(localPath);
      return;
    }
    const nowMs = this.#clock.now();
    held.failures += 1;
    held.patienceMs = Math.max(this.#longestMs, (nowMs - held.triedMs) * READING_SHARE);
    held.triedMs = nowMs;
  }

  /** Looks at the files and gives those that it is time to read again. */
  due(): readonly string[] {
    const due: string[] = [];
    const nowMs = this.#clock.now();
    for (const [localPath, held] of this.#held) {
      const stats = statsOf(localPath);
      const key = keyFrom(stats);
      if (key !== held.key) {
        held.key = key;
        held.sinceMs = nowMs;
      }
      if (nowMs - held.sinceMs >= this.#stillMs(held.wasFull && stats?.size === 0)) {
        this.#held.delete(localPath);
        due.push(localPath);
      } else if (nowMs - held.triedMs >= held.patienceMs && !held.isTry) {
        held.isTry = true;
        due.push(localPath);
      }
    }
    return due;
  }

  #stillMs(isEmptied: boolean): number {
    return isEmptied ? Math.max(EMPTIED_MS, this.#quietMs) : this.#quietMs;
  }

  /** When `due` may have something, by the clock. */
  get nextMs(): number {
    return this.#held.size === 0 ? Number.POSITIVE_INFINITY : this.#clock.now() + this.#quietMs;
  }
}

function keyFrom(stats: Stats | undefined): string {
  return stats === undefined ? "" : keyOf(stats);
}
