import { closeSync, constants, fchmodSync, openSync, writeSync } from "node:fs";
import { readLocalFile } from "../../desired/local-file.ts";
import { TransportError } from "../../errors.ts";
import { changeBase, emptyBase } from "../../state/base.ts";
import { writeBase } from "../../state/base-store.ts";
import type { EmbeddedTransport } from "../../transport/embedded/embedded-transport.ts";
import type { Content } from "../../tree/content.ts";
import { printable } from "../../tree/printable.ts";
import type { WorkspacePath } from "../../tree/workspace-path.ts";
import { baseName, parentPath, ROOT, statePath } from "../../tree/workspace-path.ts";
import { baseChangesOf } from "../base-changes.ts";
import type { CommitRequest, CommitResult, StepResult } from "../engine.ts";

/** Files up to this size are written many at a time, through one open directory. */
const SMALL_BYTES = 64 * 1024;
const BATCH_FILES = 128;
const OWNER_ALL = 0o700;

type Write = { readonly path: WorkspacePath; readonly mode: number; readonly content: Content };

/**
 * Builds a whole workspace where nothing is yet, file by file in its final place: it is not visible before it is
 * renamed, so nothing needs staging. Every file is read back; base is bound to `identity`.
 * @throws {TransportError} `VERIFY_FAILED`, or what the file system says: then nothing has gone live.
 */
export async function buildFresh(
  building: EmbeddedTransport,
  request: CommitRequest,
  identity: { readonly sessionId: string; readonly root: string },
  signal: AbortSignal,
): Promise<CommitResult> {
  const steps = request.steps.map(({ step }) => step);
  await building.createDirectory(ROOT, undefined, signal);
  for (const step of steps) {
    if (step.op === "create-directory") await building.createDirectory(step.path, step.mode | OWNER_ALL, signal);
  }
  const writes = steps.flatMap((step): Write[] => {
    const content = step.op === "write" ? request.contents.get(step.digest) : undefined;
    return step.op === "write" && content !== undefined ? [{ path: step.path, mode: step.mode, content }] : [];
  });
  const totalBytes = writes.reduce((sum, { content }) => sum + content.sizeBytes, 0);
  let doneBytes = 0;
  for (const batch of batchesOf(writes)) {
    signal.throwIfAborted();
    await writeBatch(building, batch, signal);
    for (const { content } of batch) doneBytes += content.sizeBytes;
    request.onBytes(doneBytes, totalBytes);
  }
  for (const step of steps) if (step.op === "create-link") await building.createLink(step.path, step.target, signal);
  for (const step of steps.toReversed()) {
    if (step.op === "create-directory" && (step.mode & OWNER_ALL) !== OWNER_ALL) {
      await building.setMode(step.path, step.mode, signal);
    }
  }
  const results = steps.map((): StepResult => ({ status: "applied" }));
  const base = emptyBase(identity.sessionId, identity.root);
  const changes = [...baseChangesOf(request.steps, results, base), ...request.baseChanges];
  await building.createDirectory(statePath(), OWNER_ALL, signal);
  await writeBase(building, changeBase(base, changes, request.desiredDigest), signal);
  results.forEach((result, index) => request.onStep(index, result));
  return { results, verified: true, backupPath: undefined };
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

async function writeBatch(building: EmbeddedTransport, batch: readonly Write[], signal: AbortSignal): Promise<void> {
  const [first] = batch;
  if (first === undefined) return;
  if (first.content.sizeBytes > SMALL_BYTES) {
    await building.writeFile(first.path, first.content, first.mode, signal);
    const digests = await building.digestFiles([first.path], signal);
    if (digests.get(first.path) !== first.content.digest) throw notKept(first.path);
    return;
  }
  const bytes: Buffer[] = [];
  for (const { content } of batch) {
    const chunks: Uint8Array[] = [];
    for await (const chunk of content.open()) chunks.push(chunk);
    bytes.push(Buffer.concat(chunks));
  }
  building.inside(parentPath(first.path), (at) => {
    batch.forEach(({ path, mode, content }, index) => {
      const own = at(baseName(path));
      const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
      const descriptor = openSync(own, flags, 0o600);
      try {
        const data = bytes[index] ?? Buffer.alloc(0);
        for (let written = 0; written < data.byteLength; ) written += writeSync(descriptor, data, written);
        fchmodSync(descriptor, mode);
      } finally {
        closeSync(descriptor);
      }
      if (readLocalFile(own, 0).digest !== content.digest) throw notKept(path);
    });
  });
}

function notKept(path: WorkspacePath): TransportError {
  return new TransportError("VERIFY_FAILED", `${printable(path)}: the disk did not keep the bytes it was given`, {
    hint: "look at the free space, then apply again",
  });
}
