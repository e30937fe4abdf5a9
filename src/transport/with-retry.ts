import { createHash, type Hash } from "node:crypto";
import { hasCode, TransportError } from "../errors.ts";
import { printable } from "../tree/printable.ts";
import type { WorkspacePath } from "../tree/workspace-path.ts";
import { RetryBudget, type RetryOptions, retry, throwIfAborted, wasNotCarriedOut } from "./retry-policy.ts";
import type { ShellRequest, Transport, UploadSource } from "./transport.ts";

/**
 * The same session, with calls repeated where the interface allows it. A move whose answer was lost is repeated only
 * after a look at both ends; a command only when it says that it is `repeatable`, or was certainly not run.
 */
export function withRetry(inner: Transport, options: RetryOptions = {}): Transport {
  const budget = options.budget ?? new RetryBudget();
  const settings: RetryOptions = {
    ...options,
    budget,
    onRetry: (error, delayMs) => {
      inner.counters.retries += 1;
      options.onRetry?.(error, delayMs);
    },
  };
  const again = <T>(call: (attempt: number) => Promise<T>, signal: AbortSignal): Promise<T> =>
    retry(call, signal, settings);
  const onlyIfNotRun = <T>(call: () => Promise<T>, signal: AbortSignal): Promise<T> =>
    retry(call, signal, { ...settings, mayRetry: (error) => error.retryable && wasNotCarriedOut(error) });

  return {
    kind: inner.kind,
    sessionId: inner.sessionId,
    root: inner.root,
    counters: inner.counters,
    features: (signal) => again(() => inner.features(signal), signal),
    listDirectory: (path, signal) => again(() => inner.listDirectory(path, signal), signal),
    stat: (path, signal) => again(() => inner.stat(path, signal), signal),
    readFile: (path, signal) => resumedStream(inner, path, signal, settings),
    digestFiles: (paths, signal) => again(() => inner.digestFiles(paths, signal), signal),
    writeFile: (path, content, mode, signal) => again(() => inner.writeFile(path, content, mode, signal), signal),
    createDirectory: (path, mode, signal) => again(() => inner.createDirectory(path, mode, signal), signal),
    move: (from, to, moveOptions, signal) => {
      let lost = false;
      return again(async () => {
        if (lost && (await hasMoved(inner, from, to, signal))) return;
        try {
          await inner.move(from, to, moveOptions, signal);
        } catch (error) {
          lost ||= !wasNotCarriedOut(error);
          throw error;
        }
      }, signal);
    },
    deleteFile: (path, signal) => again(() => inner.deleteFile(path, signal), signal),
    removeDirectory: (path, signal) => again(() => inner.removeDirectory(path, signal), signal),
    setMode: (path, mode, signal) => again(() => inner.setMode(path, mode, signal), signal),
    createLink: (path, target, signal) =>
      again(async (attempt) => {
        try {
          await inner.createLink(path, target, signal);
        } catch (error) {
          if (attempt === 0 || !hasCode(error, "ALREADY_EXISTS")) throw error;
          const there = await inner.stat(path, signal);
          if (there?.kind !== "link" || there.target !== target) throw error;
        }
      }, signal),
    get shell() {
      const { shell } = inner;
      if (shell === undefined) return undefined;
      return (request: ShellRequest, signal: AbortSignal) =>
        request.repeatable === true
          ? again(() => shell(request, signal), signal)
          : onlyIfNotRun(() => shell(request, signal), signal);
    },
    get prepareUpload() {
      const { prepareUpload } = inner;
      return prepareUpload && ((signal: AbortSignal) => prepareUpload(signal));
    },
    get upload() {
      const { upload } = inner;
      return upload && ((source: UploadSource, signal: AbortSignal) => again(() => upload(source, signal), signal));
    },
    close: () => inner.close(),
  };
}

/** After a move whose answer was lost: true when it was carried out all the same. */
async function hasMoved(inner: Transport, from: WorkspacePath, to: WorkspacePath, signal: AbortSignal) {
  const [source, destination] = await Promise.all([inner.stat(from, signal), inner.stat(to, signal)]);
  return source === undefined && destination !== undefined;
}

/**
 * A stream that is opened again after a failure. What was handed out already is read once more and compared by digest:
 * only when it is still the same does the stream go on, so no mix of two versions ever leaves here.
 */
async function* resumedStream(
  inner: Transport,
  path: WorkspacePath,
  signal: AbortSignal,
  settings: RetryOptions,
): AsyncGenerator<Uint8Array> {
  const given: Prefix = { sizeBytes: 0, hash: createHash("sha256") };
  let chunks = inner.readFile(path, signal)[Symbol.asyncIterator]();
  let broken = false;
  try {
    for (;;) {
      const next = await retry(
        async () => {
          if (broken) {
            await chunks.return?.();
            chunks = afterPrefix(inner.readFile(path, signal), given, path);
          }
          broken = true;
          const result = await chunks.next();
          broken = false;
          return result;
        },
        signal,
        settings,
      );
      if (next.done === true) return;
      extend(given, next.value);
      throwIfAborted(signal);
      yield next.value;
    }
  } finally {
    await chunks.return?.();
  }
}

type Prefix = { sizeBytes: number; readonly hash: Hash };

function extend(prefix: Prefix, bytes: Uint8Array): void {
  prefix.sizeBytes += bytes.byteLength;
  prefix.hash.update(bytes);
}

async function* afterPrefix(
  source: AsyncIterable<Uint8Array>,
  given: Prefix,
  path: WorkspacePath,
): AsyncGenerator<Uint8Array> {
  const { sizeBytes } = given;
  const expected = given.hash.copy().digest("hex");
  const seen: Prefix = { sizeBytes: 0, hash: createHash("sha256") };
  for await (const chunk of source) {
    const missingBytes = sizeBytes - seen.sizeBytes;
    if (missingBytes === 0) {
      yield chunk;
      continue;
    }
    extend(seen, chunk.subarray(0, missingBytes));
    if (seen.sizeBytes < sizeBytes) continue;
    if (seen.hash.copy().digest("hex") !== expected) throw changedWhileRead(path);
    if (chunk.byteLength > missingBytes) yield chunk.subarray(missingBytes);
  }
  if (seen.sizeBytes < sizeBytes) throw changedWhileRead(path);
}

function changedWhileRead(path: WorkspacePath): TransportError {
  return new TransportError("UNAVAILABLE", `${printable(path)} changed in the session while it was read`, {
    hint: "apply again once nothing writes to the file",
  });
}
