import { createHash, hash } from "node:crypto";

/** `sha256:` and 64 lower-case hex digits, over raw bytes. The identity of content. */
export type Digest = `sha256:${string}`;

const pattern = /^sha256:[0-9a-f]{64}$/;

/** True when `text` is a digest in the written form. */
export function isDigest(text: string): text is Digest {
  return pattern.test(text);
}

/** The digest of bytes held in memory. */
export function digestOf(bytes: Uint8Array | string): Digest {
  return `sha256:${hash("sha256", bytes, "hex")}`;
}

/** A digest from 64 hex digits as `sha256sum` prints them; undefined when they are not that. */
export function digestFromHex(hex: string): Digest | undefined {
  const digest: Digest = `sha256:${hex.toLowerCase()}`;
  return isDigest(digest) ? digest : undefined;
}

/** The 64 hex digits of a digest. */
export function hexOf(digest: Digest): string {
  return digest.slice("sha256:".length);
}

/** A running digest: feed it with `update`, close it with `digest`. */
export class DigestStream {
  readonly #hash = createHash("sha256");
  #sizeBytes = 0;

  update(chunk: Uint8Array): void {
    this.#hash.update(chunk);
    this.#sizeBytes += chunk.byteLength;
  }

  /** Bytes seen so far. */
  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  digest(): Digest {
    return `sha256:${this.#hash.digest("hex")}`;
  }
}
