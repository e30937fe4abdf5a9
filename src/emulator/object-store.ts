import { createHash, createHmac, randomBytes, randomUUID, timingSafeEqual } from "node:crypto";
import { createReadStream, createWriteStream } from "node:fs";
import { rm } from "node:fs/promises";
import type { IncomingHttpHeaders } from "node:http";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { Contexts, StoreContext, StoredFile } from "./contexts.ts";
import type { Reply } from "./reply.ts";
import { errnoOf, SessionFilesError } from "./session/session-files-error.ts";

/** Life of a presigned URL (protocol §8.2). */
const urlLifeSeconds = 3600;

export const storePrefix = "/store/";

/** The object store behind contexts: presigned PUT and GET, as object stores answer them (protocol §9). */
export type ObjectStore = {
  /** A path with query, to be put behind the base URL, and when it ends (epoch seconds). */
  sign(
    operation: "put" | "get",
    contextId: string,
    path: string,
  ): { readonly target: string; readonly expires: number };
  /** Which context and object a path means; undefined for none. */
  objectAt(path: string): { readonly context: StoreContext; readonly name: string } | undefined;
  /** The refusal of a request whose signature or head is not what the URL was made for; undefined if it may go on. */
  refusal(method: string, path: string, query: URLSearchParams, headers: IncomingHttpHeaders): Reply | undefined;
  /** Stores the body of a request that is not refused; `isStored` false only pretends to. */
  put(path: string, body: Readable, isStored: boolean): Promise<Reply>;
  get(path: string): Reply;
  /** Keeps a copy of `bytes` as an object. */
  keep(context: StoreContext, path: string, bytes: Readable): Promise<void>;
  open(stored: StoredFile): Readable;
};

/** How much there may be in all contexts together. */
export type StoreLimits = { readonly maxStoredBytes: number; readonly maxObjects: number };

/** @param directory holds the objects, under names that are never used twice. */
export function makeObjectStore(contexts: Contexts, directory: string, limits: StoreLimits): ObjectStore {
  /** Of objects that are being received. */
  let arrivingBytes = 0;
  const secret = randomBytes(32);
  const signature = (operation: string, path: string, expires: string): Buffer =>
    createHmac("sha256", secret).update(`${operation}\n${path}\n${expires}`).digest();

  const objectAt: ObjectStore["objectAt"] = (path) => {
    const [contextId = "", encoded = ""] = path.slice(storePrefix.length).split("/", 2);
    const context = contexts.get(contextId);
    return context === undefined ? undefined : { context, name: Buffer.from(encoded, "base64url").toString("utf8") };
  };

  const refusal: ObjectStore["refusal"] = (method, path, query, headers) => {
    const operation = method === "PUT" ? "put" : method === "GET" ? "get" : undefined;
    if (operation === undefined) return xml(405, "MethodNotAllowed");
    const expires = query.get("expires") ?? "";
    const given = Buffer.from(query.get("signature") ?? "", "hex");
    const right = signature(operation, path, expires);
    if (given.length !== right.length || !timingSafeEqual(given, right)) return xml(403, "SignatureDoesNotMatch");
    if (Number(expires) * 1000 < Date.now()) return xml(403, "AccessDenied");
    if (operation === "get") return undefined;
    // What was not part of the request for the URL changes the string that is signed (protocol §9, PUT headers).
    if (headers["content-type"] !== undefined) return xml(403, "SignatureDoesNotMatch");
    if (headers.authorization !== undefined) return xml(400, "InvalidArgument");
    if (objectAt(path) === undefined) return xml(404, "NoSuchBucket");
    return Number(headers["content-length"] ?? 0) > limits.maxStoredBytes ? xml(400, "EntityTooLarge") : undefined;
  };

  const receive = async (body: Readable): Promise<{ file: string; sizeBytes: number; etag: string }> => {
    const file = join(directory, randomUUID());
    const hash = createHash("md5");
    let sizeBytes = 0;
    try {
      if (contexts.total.objects >= limits.maxObjects) throw new SessionFilesError("ENOSPC");
      await pipeline(
        body,
        async function* (source: AsyncIterable<Buffer>) {
          for await (const chunk of source) {
            hash.update(chunk);
            sizeBytes += chunk.length;
            arrivingBytes += chunk.length;
            if (contexts.total.bytes + arrivingBytes > limits.maxStoredBytes) throw new SessionFilesError("ENOSPC");
            yield chunk;
          }
        },
        createWriteStream(file, { flags: "wx" }),
      );
    } catch (error) {
      await rm(file, { force: true });
      throw error;
    } finally {
      arrivingBytes -= sizeBytes;
    }
    return { file, sizeBytes, etag: hash.digest("hex").toUpperCase() };
  };

  const keep = async (context: StoreContext, path: string, bytes: Readable): Promise<string> => {
    const received = await receive(bytes);
    contexts.put(context, { path, storedAt: new Date(), ...received });
    return received.etag;
  };

  return {
    sign: (operation, contextId, path) => {
      const expires = Math.floor(Date.now() / 1000) + urlLifeSeconds;
      const target = `${storePrefix}${contextId}/${Buffer.from(path).toString("base64url")}`;
      const proof = signature(operation, target, String(expires)).toString("hex");
      return { target: `${target}?expires=${expires}&signature=${proof}`, expires };
    },
    objectAt,
    refusal,
    put: async (path, body, isStored) => {
      const object = objectAt(path);
      if (object === undefined) return xml(404, "NoSuchBucket");
      if (!isStored) {
        for await (const _ of body);
        return { status: 200, headers: {}, body: "" };
      }
      try {
        const etag = await keep(object.context, object.name, body);
        return { status: 200, headers: { etag: `"${etag}"` }, body: "" };
      } catch (error) {
        if (errnoOf(error) !== "ENOSPC") throw error;
        return { ...xml(400, "EntityTooLarge"), headers: { "content-type": "application/xml", connection: "close" } };
      }
    },
    get: (path) => {
      const object = objectAt(path);
      const stored = object?.context.objects.get(object.name);
      if (stored === undefined) return xml(404, "NoSuchKey");
      return {
        status: 200,
        headers: { "content-type": "application/octet-stream", etag: `"${stored.etag}"` },
        body: { file: stored.file, sizeBytes: stored.sizeBytes },
      };
    },
    keep: async (context, path, bytes) => {
      await keep(context, path, bytes);
    },
    open: (stored) => createReadStream(stored.file),
  };
}

function xml(status: number, code: string): Reply {
  return {
    status,
    headers: { "content-type": "application/xml" },
    body: `<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>${code}</Code></Error>\n`,
  };
}
