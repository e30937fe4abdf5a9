/** One thing that a session holds, as it comes: nothing of it can be trusted. */
export type RemoteEntry = {
  /** As it was given, with all that is wrong with it. */
  readonly name: string;
  /** `odd`: what is never made here, such as a device; `target` of a link is its text. */
  readonly kind: "file" | "directory" | "link" | "odd";
  /** What an odd thing is, in words. */
  readonly what?: string;
  readonly mode?: number | undefined;
  readonly target?: string | undefined;
  readonly sizeBytes: number;
  /** The bytes of a file; read once, before the next entry is asked for. */
  readonly bytes: () => AsyncIterable<Uint8Array>;
};

/** What comes back from a session. */
export type Remote = {
  readonly entries: AsyncIterable<RemoteEntry>;
  /** What could not be read there, in a sentence each; whole once the entries have come to an end. */
  readonly faults: readonly string[];
};

/** For what has no bytes. */
export async function* noBytes(): AsyncIterable<Uint8Array> {}
