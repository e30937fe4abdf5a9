import type { BigIntStats } from "node:fs";
import { existsSync, lstatSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { keyOf } from "../../desired/file-version.ts";
import type { Base } from "../../state/base.ts";
import type { Digest } from "../../tree/digest.ts";
import { isDigest } from "../../tree/digest.ts";
import type { WorkspacePath } from "../../tree/workspace-path.ts";
import { STATE_DIRECTORY } from "../../tree/workspace-path.ts";

/** A version this much older than the index cannot have a younger twin with the same times (W31). */
const RACY_NS = 20_000_000n;

/** What tells versions of a file apart, with the digest of the version that the last commit left. */
export type SessionIndex = {
  /** The digest of the file as `stats` sees it; undefined when that version was not hashed. */
  find(path: WorkspacePath, stats: BigIntStats): Digest | undefined;
};

const nothing: SessionIndex = { find: () => undefined };

/** Reads the index below `rootDirectory`; a missing or damaged one knows nothing. */
export function readIndex(rootDirectory: string): SessionIndex {
  const file = join(rootDirectory, STATE_DIRECTORY, "index");
  if (!existsSync(file)) return nothing;
  const [writtenAt = "", ...lines] = readFileSync(file, "utf8").split("\n");
  if (!/^\d+$/.test(writtenAt) || lines.pop() !== "end") return nothing;
  const horizon = BigInt(writtenAt) - RACY_NS;
  const known = new Map<string, { key: string; digest: Digest }>();
  for (const line of lines) {
    const [path, key, digest = ""] = line.split("\0");
    if (path !== undefined && key !== undefined && isDigest(digest)) known.set(path, { key, digest });
  }
  return {
    find(path, stats) {
      const entry = known.get(JSON.stringify(path));
      return entry !== undefined && entry.key === keyOf(stats) && stats.ctimeNs < horizon ? entry.digest : undefined;
    },
  };
}

/** Writes the index of what base knows; replaced by rename. Done after a commit, never by a scan (S16). */
export function writeIndex(rootDirectory: string, base: Base): void {
  const lines: string[] = [];
  let latest = 0n;
  for (const [path, { entry }] of base.entries) {
    if (entry.kind !== "file" || entry.digest === undefined) continue;
    const stats = lstatSync(join(rootDirectory, path), { bigint: true, throwIfNoEntry: false });
    if (stats === undefined || !stats.isFile() || Number(stats.size) !== entry.sizeBytes) continue;
    lines.push(`${JSON.stringify(path)}\0${keyOf(stats)}\0${entry.digest}`);
    if (stats.ctimeNs > latest) latest = stats.ctimeNs;
  }
  const now = BigInt(Date.now()) * 1_000_000n;
  waitUntil(latest + RACY_NS * 2n, now);
  const file = join(rootDirectory, STATE_DIRECTORY, "index");
  const writtenAt = BigInt(Date.now()) * 1_000_000n;
  writeFileSync(`${file}.new`, [writtenAt, ...lines, "end"].join("\n"), { mode: 0o600 });
  renameSync(`${file}.new`, file);
}

/** Files changed in the last few milliseconds would count as racy for ever: a short pause makes the index worth reading. */
function waitUntil(moment: bigint, now: bigint): void {
  const pauseMs = Number((moment - now) / 1_000_000n);
  if (pauseMs > 0 && pauseMs < 1000) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, pauseMs);
}
