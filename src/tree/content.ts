import type { Digest } from "./digest.ts";
import { digestOf } from "./digest.ts";

/**
 * The bytes that a desired file is to hold. `open` may be called more than once; each stream gives exactly
 * `sizeBytes` bytes whose digest is `digest`, or throws `SOURCE_CHANGED` (a source that changed since it was hashed).
 */
export type Content = {
  readonly digest: Digest;
  readonly sizeBytes: number;
  /** Never part of a command, a diff, a log or a message. */
  readonly sensitive: boolean;
  /** All of it, where it is held in memory. */
  readonly bytes?: Uint8Array;
  open(): AsyncIterable<Uint8Array>;
};

/** Finds the bytes behind a digest of the desired tree. */
export type ContentStore = ReadonlyMap<Digest, Content>;

/** Content that is held in memory. */
export function memoryContent(bytes: Buffer, sensitive: boolean, digest: Digest = digestOf(bytes)): Content {
  return {
    digest,
    sizeBytes: bytes.byteLength,
    sensitive,
    bytes,
    async *open() {
      if (bytes.byteLength > 0) yield bytes;
    },
  };
}
