import type { IncomingMessage } from "node:http";
import { type JsonRecord, parseRecord } from "./session/json-values.ts";

/** A body as JSON and its length; `{}` for an empty one. */
export type Body = { readonly record: JsonRecord; readonly sizeBytes: number };

/** Reads a body of at most `largestBytes`; undefined as soon as it is known to be larger, the rest unread. */
export async function readBody(request: IncomingMessage, largestBytes: number): Promise<Body | undefined> {
  if (Number(request.headers["content-length"] ?? 0) > largestBytes) return undefined;
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  for await (const chunk of request.iterator({ destroyOnReturn: false })) {
    if (!Buffer.isBuffer(chunk)) continue;
    sizeBytes += chunk.length;
    if (sizeBytes > largestBytes) return undefined;
    chunks.push(chunk);
  }
  return { record: parseRecord(Buffer.concat(chunks).toString("utf8")) ?? {}, sizeBytes };
}
