import { basename, join } from "node:path";
import { readCacheFile, writeCacheFile } from "../cache-file.ts";
import type { Manifest } from "../manifest/manifest.ts";
import type { Digest } from "../tree/digest.ts";
import { formatKnownVersions, parseKnownVersions } from "../tree/known-versions.ts";
import type { FileVersion } from "./file-version.ts";
import { SourceCache } from "./source-cache.ts";

const HEADER = "agb-sync sources 1";

/** A cache that outlives the run. `save` is to be called once everything was read. */
export type StoredSourceCache = { readonly cache: SourceCache; readonly save: () => void };

/** The digests of sources that earlier runs of the manifest read, kept in a file of its own below `directory`. */
export function openStoredSourceCache(
  directory: string,
  manifest: Pick<Manifest, "directory" | "file">,
): StoredSourceCache {
  const owner = join(manifest.directory, basename(manifest.file));
  const cache = new UsedSources(parseKnownVersions(HEADER, readCacheFile(directory, "sources", owner)));
  const save = () => {
    cache.keepOnly(cache.used);
    if (cache.isChanged) writeCacheFile(directory, "sources", owner, formatKnownVersions(HEADER, cache.known));
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
