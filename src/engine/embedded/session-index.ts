import { TransportError } from "../../errors.ts";
import { makeWay } from "../../state/state-file.ts";
import type { EmbeddedTransport } from "../../transport/embedded/embedded-transport.ts";
import type { Reading, SessionFileVersion } from "../../transport/embedded/read-session-file.ts";
import { memoryContent } from "../../tree/content.ts";
import type { Digest } from "../../tree/digest.ts";
import type { KnownVersions } from "../../tree/known-versions.ts";
import { formatKnownVersions, parseKnownVersions } from "../../tree/known-versions.ts";
import type { WorkspacePath } from "../../tree/workspace-path.ts";
import { statePath } from "../../tree/workspace-path.ts";

/** Where the index is kept below the root. */
export const INDEX_PATH = statePath("index");

const HEADER = "agb-sync index 2";
/** A version this much younger than its reading may have a twin with the same times (W31). */
const RACY_NS = 20_000_000n;
/** The same where the file system counts whole seconds only. */
const RACY_ON_SECONDS_NS = 2_000_000_000n;
const SECOND_NS = 1_000_000_000n;

/**
 * Which version of each file, told apart by size, mtime, ctime and inode, has which digest. It says what was read, not
 * what is there: an entry stays true whatever becomes of the file.
 */
export class SessionIndex {
  readonly #versions: KnownVersions;

  constructor(versions: KnownVersions = new Map()) {
    this.#versions = versions;
  }

  /** Reads what `format` wrote; missing or damaged text knows nothing. */
  static parse(text: string | undefined): SessionIndex {
    return new SessionIndex(parseKnownVersions(HEADER, text));
  }

  /** The digest of the file in this version; undefined when that was not read. */
  find(path: WorkspacePath, version: SessionFileVersion): Digest | undefined {
    return this.findByKey(path, keyOf(version));
  }

  /** The same by `size mtime ctime inode`, times in nanoseconds. */
  findByKey(path: WorkspacePath, key: string): Digest | undefined {
    const known = this.#versions.get(path);
    return known?.key === key ? known.digest : undefined;
  }

  /** Takes a reading in, unless the file had changed so shortly before that a later change could look the same. */
  remember(path: WorkspacePath, { digest, version, readAtMs }: Reading): void {
    if (isRacy(version.ctimeNs, readAtMs)) this.#versions.delete(path);
    else this.#versions.set(path, { key: keyOf(version), digest });
  }

  /** Forgets every path that is not in `there`. */
  keepOnly(there: { has(path: string): boolean }): void {
    for (const path of this.#versions.keys()) if (!there.has(path)) this.#versions.delete(path);
  }

  /** As text. */
  format(): string {
    return formatKnownVersions(HEADER, this.#versions);
  }
}

/** Whether a change after a reading at `readAtMs` could have the time of one before it. */
export function isRacy(changedNs: bigint, readAtMs: number): boolean {
  const ageNs = BigInt(readAtMs) * 1_000_000n - changedNs;
  return ageNs <= (changedNs % SECOND_NS === 0n ? RACY_ON_SECONDS_NS : RACY_NS);
}

function keyOf({ size, mtimeNs, ctimeNs, ino }: SessionFileVersion): string {
  return `${size} ${mtimeNs} ${ctimeNs} ${ino}`;
}

/** Replaces the stored index. One that cannot be written costs the next scan time and is no reason to fail a commit. */
export async function writeIndex(transport: EmbeddedTransport, index: SessionIndex): Promise<void> {
  const content = memoryContent(Buffer.from(index.format()), true);
  const signal = AbortSignal.timeout(60_000);
  try {
    if (transport.lookAt(INDEX_PATH)?.isDirectory() === true) await makeWay(transport, INDEX_PATH, signal);
    await transport.writeFile(INDEX_PATH, content, 0o600, signal);
  } catch (error) {
    if (!(error instanceof TransportError)) throw error;
  }
}
