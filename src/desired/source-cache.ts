import type { Digest } from "../tree/digest.ts";
import type { FileVersion } from "./file-version.ts";

/** Changes younger than this when they were hashed may have a twin with the same times: hashed again (W31). */
const RACY_MS = 50;

type Known = { readonly key: string; readonly digest: Digest };

/** Digests of local files by what tells versions apart: size, mtime, ctime and inode. For watch, which reads again and again. */
export class SourceCache {
  readonly #known = new Map<string, Known>();
  readonly #racy = new Set<string>();

  /** Files that were too young when they were hashed: only hashing again says whether they changed since. */
  get racy(): ReadonlySet<string> {
    return this.#racy;
  }

  get size(): number {
    return this.#known.size;
  }

  /** The digest of this version of the file, if it was hashed before. */
  find(localPath: string, { key }: FileVersion): Digest | undefined {
    const known = this.#known.get(localPath);
    return known !== undefined && known.key === key ? known.digest : undefined;
  }

  remember(localPath: string, { key, changedMs }: FileVersion, digest: Digest): void {
    if (Date.now() - changedMs > RACY_MS) {
      this.#racy.delete(localPath);
      this.#known.set(localPath, { key, digest });
    } else {
      this.#racy.add(localPath);
      this.#known.delete(localPath);
    }
  }

  /** Forgets all other files (W27). */
  keepOnly(localPaths: ReadonlySet<string>): void {
    for (const path of this.#known.keys()) if (!localPaths.has(path)) this.#known.delete(path);
    for (const path of this.#racy) if (!localPaths.has(path)) this.#racy.delete(path);
  }
}
