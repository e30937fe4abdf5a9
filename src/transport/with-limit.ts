import pLimit from "p-limit";
import { hasCode } from "../errors.ts";
import { throwIfAborted } from "./retry-policy.ts";
import type { ShellRequest, Transport, UploadSource } from "./transport.ts";

/**
 * Bounds how many calls are under way at once. A throttled call halves the bound, a full round of successes widens it
 * by one, up to `max`. Share one among everything that talks to the same service.
 */
export class AdaptiveLimit {
  readonly #max: number;
  readonly #limit: ReturnType<typeof pLimit>;
  #successes = 0;
  /** Grows with each halving; a burst of refusals sent under the same bound counts once. */
  #generation = 0;

  constructor(max: number) {
    this.#max = Math.max(1, Math.floor(max));
    this.#limit = pLimit(this.#max);
  }

  /** The bound now in force. */
  get concurrency(): number {
    return this.#limit.concurrency;
  }

  /** Runs `call` as soon as there is room. A signal that aborts while it waits means that it never runs. */
  run<T>(call: () => Promise<T>, signal: AbortSignal): Promise<T> {
    return this.#limit(async () => {
      throwIfAborted(signal);
      const generation = this.#generation;
      try {
        const result = await call();
        this.#grow();
        return result;
      } catch (error) {
        if (hasCode(error, "THROTTLED") && generation === this.#generation) this.#shrink();
        throw error;
      }
    });
  }

  #grow(): void {
    this.#successes += 1;
    if (this.#successes < this.#limit.concurrency || this.#limit.concurrency >= this.#max) return;
    this.#successes = 0;
    this.#limit.concurrency += 1;
  }

  #shrink(): void {
    this.#generation += 1;
    this.#successes = 0;
    this.#limit.concurrency = Math.max(1, Math.floor(this.#limit.concurrency / 2));
  }
}

/** The same session, with every call passing `limit`. A stream holds its place only while a chunk is being fetched. */
export function withLimit(inner: Transport, limit: AdaptiveLimit): Transport {
  return {
    kind: inner.kind,
    sessionId: inner.sessionId,
    root: inner.root,
    counters: inner.counters,
    features: (signal) => limit.run(() => inner.features(signal), signal),
    listDirectory: (path, signal) => limit.run(() => inner.listDirectory(path, signal), signal),
    stat: (path, signal) => limit.run(() => inner.stat(path, signal), signal),
    readFile: (path, signal) => limitedStream(inner.readFile(path, signal), limit, signal),
    digestFiles: (paths, signal) => limit.run(() => inner.digestFiles(paths, signal), signal),
    writeFile: (path, content, mode, signal) => limit.run(() => inner.writeFile(path, content, mode, signal), signal),
    createDirectory: (path, mode, signal) => limit.run(() => inner.createDirectory(path, mode, signal), signal),
    move: (from, to, options, signal) => limit.run(() => inner.move(from, to, options, signal), signal),
    deleteFile: (path, signal) => limit.run(() => inner.deleteFile(path, signal), signal),
    removeDirectory: (path, signal) => limit.run(() => inner.removeDirectory(path, signal), signal),
    setMode: (path, mode, signal) => limit.run(() => inner.setMode(path, mode, signal), signal),
    createLink: (path, target, signal) => limit.run(() => inner.createLink(path, target, signal), signal),
    get shell() {
      const { shell } = inner;
      return shell && ((request: ShellRequest, signal: AbortSignal) => limit.run(() => shell(request, signal), signal));
    },
    get prepareUpload() {
      const { prepareUpload } = inner;
      return prepareUpload && ((signal: AbortSignal) => prepareUpload(signal));
    },
    get upload() {
      const { upload } = inner;
      return upload && ((source: UploadSource, signal: AbortSignal) => limit.run(() => upload(source, signal), signal));
    },
    close: () => inner.close(),
  };
}

async function* limitedStream(
  source: AsyncIterable<Uint8Array>,
  limit: AdaptiveLimit,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const chunks = source[Symbol.asyncIterator]();
  try {
    for (;;) {
      const next = await limit.run(() => chunks.next(), signal);
      if (next.done === true) return;
      yield next.value;
    }
  } finally {
    await chunks.return?.();
  }
}
