import type { Transport } from "../../transport/transport.ts";
import { isFailedUpload } from "../../transport/upload-failed.ts";
import { digestOf } from "../../tree/digest.ts";
import { workspacePath } from "../../tree/workspace-path.ts";
import type { Archive } from "./archive.ts";
import type { Delivery } from "./commit-script.ts";

/** What rides inside the commit command: the rest of the message is its programs, some 26 kB as JSON. */
export const INLINE_BYTES = 23_000;
/** Bytes of the archive in one part, and how many parts are still cheaper than an upload's four calls. */
const PART_BYTES = 42_000;
const PARTS_BEFORE_UPLOAD = 4;

export type DeliveryRequest = {
  /** Sensitive content never rides in a command (S29). */
  readonly isSensitive: boolean;
  /** False: by parts, whatever their number. */
  readonly mayUpload: boolean;
  /** Makes the directory that parts are written to. */
  readonly makeStage: () => Promise<unknown>;
  /** Calls for that directory. */
  readonly stage: Transport;
};

/** How the archive travels; `failure` rejects when it will never arrive. */
export type Delivered = {
  readonly how: Delivery;
  readonly failure: Promise<never>;
  discard(): Promise<void>;
};

/** Whether so many bytes of content will most likely be uploaded. */
export function isForUpload(sizeBytes: number): boolean {
  return sizeBytes > PART_BYTES * PARTS_BEFORE_UPLOAD;
}

/** Brings an archive into the session the cheapest way: in the command, in parts written in parallel, or by upload. */
export async function deliver(
  transport: Transport,
  archive: Archive,
  request: DeliveryRequest,
  signal: AbortSignal,
): Promise<Delivered> {
  const nothing = { failure: new Promise<never>(() => undefined), discard: async () => undefined };
  if (!request.isSensitive && archive.sizeBytes <= INLINE_BYTES) {
    const bytes = await collect(archive);
    return { how: { kind: "inline", base64: bytes.toString("base64") }, ...nothing };
  }
  const { upload } = transport;
  const parts = Math.ceil(archive.sizeBytes / PART_BYTES);
  if (upload !== undefined && request.mayUpload && parts > PARTS_BEFORE_UPLOAD) {
    try {
      const source = { sizeBytes: archive.sizeBytes, open: () => archive.open() };
      const uploaded = await upload(source, signal);
      const failure = uploaded.settled.then(() => nothing.failure);
      // It may fail before anybody waits for it.
      failure.catch(() => undefined);
      return {
        how: { kind: "upload", path: uploaded.absolutePath, sizeBytes: archive.sizeBytes },
        failure,
        discard: () => uploaded.discard(),
      };
    } catch (error) {
      if (!isFailedUpload(error)) throw error;
    }
  }
  await request.makeStage();
  const bytes = await collect(archive);
  const given = new AbortController();
  const either = AbortSignal.any([signal, given.signal]);
  const writes: Promise<void>[] = [];
  for (let part = 0; part * PART_BYTES < bytes.byteLength; part += 1) {
    const text = Buffer.from(bytes.subarray(part * PART_BYTES, (part + 1) * PART_BYTES).toString("base64"));
    const path = workspacePath(`part-${String(part).padStart(6, "0")}`);
    const content = {
      digest: digestOf(text),
      sizeBytes: text.byteLength,
      sensitive: true,
      async *open() {
        yield text;
      },
    };
    writes.push(request.stage.writeFile(path, content, 0o600, either));
  }
  try {
    await Promise.all(writes);
  } catch (error) {
    // What is still under way would write into a stage that is being cleared.
    given.abort();
    await Promise.allSettled(writes);
    throw error;
  }
  return { how: { kind: "parts" }, ...nothing };
}

async function collect(archive: Archive): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of archive.open()) chunks.push(chunk);
  return Buffer.concat(chunks);
}
