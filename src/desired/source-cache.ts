import type { Digest } from "../tree/digest.ts";
import type { KnownVersions } from "../tree/known-versions.ts";
import type { FileVersion } from "./file-version.ts";

/** Changes younger than this when they were hashed may have a twin with the same times: hashed again (W31). */
const RACY_MS = 50;
/** The same where the file system seems to count whole seconds only. */
const RACY_ON_SECONDS_MS = 2000;

/** Digests of local files by what tells versions apart: size, mtime, ctime and inode. */
export class SourceCache {
  readonly #known: KnownVersions;
  readonly #racy = new Set<string>();
  #isChanged = false;

  /** `known` is taken over, not copied. */
  constructor(known: KnownVersions = new Map()) {
    this.#known = known;
  }

  /** Files that were too young when they were hashed: only hashing again says whether they changed since. */
  get racy(): ReadonlySet<string> {
    return this.#racy;
  }

  get size(): number {
    return this.#known.size;
  }

  /** Whether it knows something else than it was made with. */
  get isChanged(): boolean {
    return this.#isChanged;
  }

  /** The digest of this version of the file, if it was hashed before. */
  find(localPath: string, { key }: FileVersion): Digest | undefined {
    const known = this.#known.get(localPath);
    return known !== undefined && known.key === key ? known.digest : undefined;
  }

  remember(localPath: string, { key, changedMs }: FileVersion, digest: Digest): void {
    this.#isChanged = true;
    if (Date.now() - changedMs > (changedMs % 1000 === 0 ? RACY_ON_SECONDS_MS : RACY_MS)) {
      this.#racy.delete(localPath);
      this.#known.set(localPath, { key, digest });
    } else {
      this.#racy.add(localPath);
      this.#known.delete(localPath);
    }
  }

  /** Forgets all other files (W27). */
  keepOnly(localPaths: { has(localPath: string): boolean }): void {
    for (const path of this.#known.keys()) {
      if (localPaths.has(path)) continue;
      this.#known.delete(path);
      this.#isChanged = true;
    }
    for (const path of this.#racy) if (!localPaths.has(path)) this.#racy.delete(path);
  }

  /** What it knows, for keeping. */
  get known(): KnownVersions {
    return this.#known;
  }
}
