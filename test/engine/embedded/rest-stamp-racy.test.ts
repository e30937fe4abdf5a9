import { describe, expect, it } from "vitest";
import { restStamp } from "../../../src/engine/embedded/rest-stamp.ts";
import { digestOf } from "../../../src/tree/digest.ts";
import { temporaryDirectory } from "../../helpers/workspace.ts";

const session = { sessionId: "local-1", root: "/tmp/workspace" };
const request = {
  isIgnored: () => false,
  ignorePatterns: [],
  expected: digestOf("tree"),
  wanted: new Map(),
  needsUnmanaged: false,
  checksum: false,
};
const BEGUN_MS = 1_764_000_000_500;

/** What find prints of files that were changed this long before the listing was begun. */
function listed(...agesNs: readonly bigint[]): Buffer {
  const record = (ageNs: bigint, at: number) => {
    const ns = BigInt(BEGUN_MS) * 1_000_000n - ageNs;
    const time = `${ns / 1_000_000_000n}.${String(ns % 1_000_000_000n).padStart(9, "0")}0`;
    return `./f${at}//f 644 1 ${time} ${time} ${at}\0`;
  };
  return Buffer.from(agesNs.map(record).join(""));
}

describe("that a session is at rest", () => {
  const MS = 1_000_000n;

  it.each<[string, readonly bigint[], boolean]>([
    ["when all of it was changed long ago", [3_600_000n * MS + 1n, 5000n * MS + 1n], true],
    ["when something was changed a moment ago", [3_600_000n * MS + 1n, 5n * MS + 1n], false],
    ["when something was changed after the listing was begun", [-3n * MS + 1n, 3_600_000n * MS], false],
    ["when something was changed this second, and only seconds are counted", [500n * MS, 3_600_000n * MS + 1n], false],
    ["when something was changed seconds ago, and only seconds are counted", [4500n * MS], true],
    ["when there is no file", [], true],
  ])("is remembered only where a later change cannot look the same: %s (W31)", (_name, ages, isKept) => {
    const cache = temporaryDirectory();
    const seen = { base: "base", journal: undefined, listed: listed(...ages) };
    const stamp = restStamp(cache, session, request, seen);
    stamp?.set(BEGUN_MS);
    expect([stamp?.holds, restStamp(cache, session, request, seen)?.holds]).toEqual([false, isKept]);
  });
});
