import { closeSync, constants, fchmodSync, lstatSync, mkdirSync, openSync, writeSync } from "node:fs";
import { AgbSyncError, TransportError } from "../../errors.ts";
import type { Step } from "../../plan/plan.ts";
import { writeBase } from "../../state/base-store.ts";
import { changeMode } from "../../transport/embedded/change-mode.ts";
import type { EmbeddedTransport } from "../../transport/embedded/embedded-transport.ts";
import { hashFiles, neighbours } from "../../transport/embedded/hash-files.ts";
import type { Reading } from "../../transport/embedded/read-session-file.ts";
import { hashOwn } from "../../transport/embedded/read-session-file.ts";
import { emptyBase } from "../../tree/base.ts";
import type { Content } from "../../tree/content.ts";
import { isClosed, OWNER_ALL } from "../../tree/entry.ts";
import { printable } from "../../tree/printable.ts";
import type { WorkspacePath } from "../../tree/workspace-path.ts";
import { baseName, parentPath } from "../../tree/workspace-path.ts";
import { intendedBase, intendedChanges } from "../base-changes.ts";
import type { CommitRequest, CommitResult, StepResult } from "../engine.ts";
import type { SessionIndex } from "./session-index.ts";

/** Files up to this size are written many at a time, through one open directory. */
const SMALL_BYTES = 64 * 1024;
const BATCH_FILES = 128;

type Write = { readonly path: WorkspacePath; readonly mode: number; readonly content: Content };

/**
 * Builds a whole workspace where nothing is yet, file by file in its final place: it is not visible before it is
 * renamed, so nothing needs staging. When all is written every file is read back, for `index` too; base is bound to `root`.
 * @throws {TransportError} `VERIFY_FAILED`, or what the file system says: then nothing has gone live.
 */
export async function buildFresh(
  building: EmbeddedTransport,
  request: CommitRequest,
  root: string,
  index: SessionIndex,
  signal: AbortSignal,
): Promise<CommitResult> {
  const steps = request.steps.map(({ step }) => step);
  await makeDirectories(building, steps, signal);
  const writes = writesOf(request);
  await writeAll(building, writes, request, signal);
  for (const step of steps) if (step.op === "create-link") await building.createLink(step.path, step.target, signal);
  await verifyAll(building, writes, index, signal);
  for (const step of steps.toReversed()) {
    if (step.op === "create-directory" && isClosed(step.mode)) {
      await building.setMode(step.path, step.mode, signal);
    }
  }
  const results = steps.map((): StepResult => ({ status: "applied" }));
  const base = emptyBase(building.sessionId, root);
  await writeBase(building, intendedBase(request, base, intendedChanges(request, base)), signal);
  results.forEach((result, index) => request.onStep(index, result));
  return { results, verified: true, backupPath: undefined };
}

/** Parents come before children; neighbours are made through one opening of the directory above them. */
async function makeDirectories(building: EmbeddedTransport, steps: readonly Step[], signal: AbortSignal) {
  const modes = new Map(
    steps.flatMap((step) => (step.op === "create-directory" ? [[step.path, step.mode | OWNER_ALL]] : [])),
  );
  for (const group of neighbours([...modes.keys()])) {
    await building.turns.next();
    signal.throwIfAborted();
    building.inside(parentPath(group[0]), (at) => {
      for (const path of group) makeDirectory(at(baseName(path)), modes.get(path) ?? OWNER_ALL);
    });
  }
}

function makeDirectory(own: string, mode: number): void {
  mkdirSync(own, mode);
  if ((lstatSync(own).mode & 0o7777) !== mode) changeMode(own, mode);
}

function writesOf(request: CommitRequest): readonly Write[] {
  return request.steps.flatMap(({ step }): Write[] => {
    if (step.op !== "write") return [];
    const content = request.contents.get(step.digest);
    if (content === undefined) throw new AgbSyncError("INTERNAL", `no content for ${step.path}`);
    return [{ path: step.path, mode: step.mode, content }];
  });
}

async function writeAll(
  building: EmbeddedTransport,
  writes: readonly Write[],
  request: CommitRequest,
  signal: AbortSignal,
): Promise<void> {
  const totalBytes = writes.reduce((sum, { content }) => sum + content.sizeBytes, 0);
  let doneBytes = 0;
  for (const batch of batchesOf(writes)) {
    await building.turns.next();
    signal.throwIfAborted();
    const [first] = batch;
    if (first !== undefined && first.content.sizeBytes > SMALL_BYTES) {
      await building.writeFile(first.path, first.content, first.mode, signal);
    } else await writeSmall(building, batch);
    for (const { content } of batch) doneBytes += content.sizeBytes;
    request.onBytes(doneBytes, totalBytes);
  }
}

/** Reads all back, the first ones long after they were written: the index can trust them. */
async function verifyAll(
  building: EmbeddedTransport,
  writes: readonly Write[],
  index: SessionIndex,
  signal: AbortSignal,
): Promise<void> {
  const missing = new Map(writes.map(({ path, content }) => [path, content.digest]));
  const onRead = (path: WorkspacePath, reading: Reading) => {
    if (missing.get(path) === reading.digest) missing.delete(path);
    index.remember(path, reading);
  };
  await hashFiles(building, [...missing.keys()], onRead, signal, hashOwn);
  for (const path of missing.keys()) throw notKept(path);
}

/** Neighbours in one directory, a bounded number at a time; large files alone. */
function* batchesOf(writes: readonly Write[]): Generator<readonly Write[]> {
  const byParent = new Map<WorkspacePath, Write[]>();
  for (const write of writes) {
    if (write.content.sizeBytes > SMALL_BYTES) {
      yield [write];
      continue;
    }
    const parent = parentPath(write.path);
    const batch = byParent.get(parent) ?? [];
    byParent.set(parent, batch);
    batch.push(write);
  }
  for (const batch of byParent.values()) {
    for (let start = 0; start < batch.length; start += BATCH_FILES) yield batch.slice(start, start + BATCH_FILES);
  }
}

async function writeSmall(building: EmbeddedTransport, batch: readonly Write[]): Promise<void> {
  const [first] = batch;
  if (first === undefined) return;
  const bytes: Uint8Array[][] = [];
  for (const { content } of batch) {
    const chunks: Uint8Array[] = [];
    // A stream for each of thousands of small files takes time.
    if (content.bytes !== undefined) chunks.push(content.bytes);
    else for await (const chunk of content.open()) chunks.push(chunk);
    bytes.push(chunks);
  }
  const umask = process.umask();
  building.inside(parentPath(first.path), (at) => {
    batch.forEach(({ path, mode }, index) => {
      const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
      // Where the umask takes nothing from the mode, and writing takes nothing (set-user-ID), the file is made with it.
      const isAsMade = (mode & (umask | ~0o777)) === 0;
      const descriptor = openSync(at(baseName(path)), flags, isAsMade ? mode : 0o600);
      try {
        for (const chunk of bytes[index] ?? []) {
          for (let written = 0; written < chunk.byteLength; ) written += writeSync(descriptor, chunk, written);
        }
        if (!isAsMade) fchmodSync(descriptor, mode);
      } finally {
        closeSync(descriptor);
      }
    });
  });
}

function notKept(path: WorkspacePath): TransportError {
  return new TransportError("VERIFY_FAILED", `${printable(path)}: the disk did not keep the bytes it was given`, {
    hint: "look at the free space, then apply again",
  });
}
