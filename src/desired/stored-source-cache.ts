import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import type { Manifest } from "../manifest/manifest.ts";
import type { Digest } from "../tree/digest.ts";
import { digestOf, hexOf } from "../tree/digest.ts";
import { formatKnownVersions, parseKnownVersions } from "../tree/known-versions.ts";
import type { FileVersion } from "./file-version.ts";
import { SourceCache } from "./source-cache.ts";

const HEADER = "agb-sync sources 1";
const PREFIX = "sources-";
/** Files of manifests that were not applied for so long are removed. */
const KEPT_MS = 30 * 24 * 3_600_000;

/** A cache that outlives the run. `save` is to be called once everything was read. */
export type StoredSourceCache = { readonly cache: SourceCache; readonly save: () => void };

/**
 * The digests of sources that earlier runs of the manifest read, kept in a file of its own below `directory`. It saves time only: what cannot be read is not known, and what cannot be written is no reason to fail.
 */
export function openStoredSourceCache(
  directory: string,
  manifest: Pick<Manifest, "directory" | "file">,
): StoredSourceCache {
  const owner = digestOf(join(manifest.directory, basename(manifest.file)));
  const file = join(directory, `${PREFIX}${hexOf(owner).slice(0, 16)}`);
  const cache = new UsedSources(parseKnownVersions(HEADER, textOf(file)));
  const save = () => {
    cache.keepOnly(cache.used);
    if (!cache.isChanged) return;
    const staged = `${file}.${process.pid}.new`;
    const isWritten = succeeds(() => {
      mkdirSync(directory, { recursive: true, mode: 0o700 });
      writeFileSync(staged, formatKnownVersions(HEADER, cache.known), { mode: 0o600 });
      renameSync(staged, file);
    });
    succeeds(() => (isWritten ? removeOld(directory) : rmSync(staged, { force: true })));
  };
  return { cache, save };
}

/** Remembers what it was asked for: all else has gone from the sources. */
class UsedSources extends SourceCache {
  readonly used = new Set<string>();

  override find(localPath: string, version: FileVersion): Digest | undefined {
    this.used.add(localPath);
    return super.find(localPath, version);
  }
}

function succeeds(work: () => void): boolean {
  try {
    work();
    return true;
  } catch {
    return false;
  }
}

function textOf(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return undefined;
  }
}

function removeOld(directory: string): void {
  for (const name of readdirSync(directory)) {
    const file = join(directory, name);
    const stats = name.startsWith(PREFIX) ? statSync(file, { throwIfNoEntry: false }) : undefined;
    if (stats !== undefined && Date.now() - stats.mtimeMs > KEPT_MS) rmSync(file, { force: true });
  }
}
