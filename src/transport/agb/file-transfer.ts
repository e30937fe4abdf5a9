import { randomUUID } from "node:crypto";
import { setTimeout as wait } from "node:timers/promises";
import { TransportError } from "../../errors.ts";
import type { UploadedFile, UploadSource } from "../transport.ts";
import type { AgbClient } from "./agb-client.ts";
import { decoded, fieldOf, shorten, textOf } from "./parse-envelope.ts";

/** First and longest pause between two looks at a transfer. */
const FIRST_LOOK_MS = 1000;
const LONGEST_LOOK_MS = 3000;
/** Right after creation the context may not be there yet (protocol §9). */
const CONTEXT_ATTEMPTS = 8;
const CONTEXT_PAUSE_MS = 750;

const failedStatus = new Set(["failed", "fail", "error"]);
const doneStatus = new Set(["success", "successful", "ok", "finished", "done", "completed", "complete"]);

type Context = { readonly contextId: string; readonly directory: string };

/** Where one upload goes: a directory of its own in the session, and the address to put the bytes to. */
type Place = {
  readonly contextId: string;
  readonly directory: string;
  readonly filePath: string;
  readonly url: string;
};

/** Uploads by presigned URL (protocol §9): each into a directory of its own, so that no old task is taken for it. */
export class FileTransfer {
  readonly #client: AgbClient;
  readonly #sessionId: string;
  #context: Promise<Context | undefined> | undefined;
  #prepared: Promise<Place> | undefined;

  constructor(client: AgbClient, sessionId: string) {
    this.#client = client;
    this.#sessionId = sessionId;
  }

  /** Finds out whether the session has a transfer context; asked once. */
  async isAvailable(signal: AbortSignal): Promise<boolean> {
    return (await this.#find(1, signal)) !== undefined;
  }

  /** Finds the place for the next upload while its bytes are still being made. */
  prepare(signal: AbortSignal): void {
    this.#prepared ??= this.#place(signal);
    this.#prepared.catch(() => undefined);
  }

  /** Stores the bytes and starts their way into the session; see `Transport.upload`. */
  async upload(source: UploadSource, signal: AbortSignal): Promise<UploadedFile> {
    const prepared = this.#prepared ?? this.#place(signal);
    this.#prepared = undefined;
    const { contextId, directory, filePath, url } = await prepared;
    const answer = await this.#client.pool.send(
      url,
      {
        // No content type: it is part of the signature, and the store refuses one it was not told of.
        method: "PUT",
        headers: { "content-length": String(source.sizeBytes) },
        body: source.open(),
        timeoutMs: this.#client.timeoutMs * 5,
      },
      signal,
    );
    if (![200, 201, 204].includes(answer.status)) {
      throw new TransportError(
        "UNAVAILABLE",
        `the upload was refused: HTTP ${answer.status} ${shorten(answer.body.toString("utf8"))}`,
        { retryable: answer.status >= 500 || answer.status === 429 },
      );
    }
    const ended = new AbortController();
    // Not waited for here: whoever needs the file waits for it in the session, in the same round trip.
    const settled = this.#bring(contextId, directory, AbortSignal.any([signal, ended.signal]));
    settled.catch(() => undefined);
    return {
      absolutePath: filePath,
      settled,
      discard: async () => {
        ended.abort();
        const query = { contextId, filePath };
        await this.#client
          .call("/sdk/DeleteContextFile", { query, what: "remove the upload" }, signal)
          .catch(() => undefined);
      },
    };
  }

  async #place(signal: AbortSignal): Promise<Place> {
    const context = await this.#find(CONTEXT_ATTEMPTS, signal);
    if (context === undefined) {
      throw new TransportError("NOT_POSSIBLE_HERE", "the session has no file transfer", {
        hint: "use an image with a shell tool",
      });
    }
    const { contextId } = context;
    const directory = `${context.directory}/${randomUUID()}`;
    const filePath = `${directory}/content`;
    const { data } = await this.#client.repeat(
      "/sdk/GetContextFileUploadUrl",
      { query: { contextId, filePath }, what: "get an upload address" },
      signal,
    );
    const url = textOf(fieldOf(data, "url"));
    if (!URL.canParse(url)) {
      throw new TransportError("BAD_ANSWER", "the service gave no upload address", { retryable: true });
    }
    return { contextId, directory, filePath, url };
  }

  async #bring(contextId: string, directory: string, signal: AbortSignal): Promise<void> {
    const query = { sessionId: this.#sessionId, contextId, path: directory, mode: "download" };
    await this.#client.repeat("/sdk/SyncContext", { query, what: "bring the upload into the session" }, signal);
    await this.#settle(contextId, directory, signal);
  }

  /** Resolves when the service says that the files have arrived; rejects when it says that they never will. */
  async #settle(contextId: string, directory: string, signal: AbortSignal): Promise<void> {
    for (let pauseMs = FIRST_LOOK_MS; ; pauseMs = Math.min(LONGEST_LOOK_MS, pauseMs * 1.4)) {
      await wait(pauseMs, undefined, { signal });
      const { data } = await this.#client.repeat(
        "/sdk/GetContextInfo",
        {
          method: "GET",
          query: { sessionId: this.#sessionId, contextId, path: directory, taskType: "download" },
          what: "look at the upload",
        },
        signal,
      );
      for (const task of tasksOf(data)) {
        const isOurs =
          textOf(fieldOf(task, "contextId")) === contextId &&
          textOf(fieldOf(task, "path")).replace(/\/+$/, "") === directory;
        if (!isOurs || textOf(fieldOf(task, "taskType")) !== "download") continue;
        const status = textOf(fieldOf(task, "status")).toLowerCase();
        const fault = textOf(fieldOf(task, "errorMessage"));
        if (failedStatus.has(status) || fault !== "")
          throw new TransportError("TOOL_FAILED", `the upload failed: ${shorten(fault || status)}`);
        if (doneStatus.has(status)) return;
      }
    }
  }

  async #find(attempts: number, signal: AbortSignal): Promise<Context | undefined> {
    this.#context ??= this.#ask(signal);
    for (let attempt = 1; attempt < attempts && (await this.#context) === undefined; attempt += 1) {
      await wait(CONTEXT_PAUSE_MS, undefined, { signal });
      this.#context = this.#ask(signal);
    }
    return await this.#context;
  }

  async #ask(signal: AbortSignal): Promise<Context | undefined> {
    const envelope = await this.#client.repeat(
      "/sdk/GetAndLoadInternalContext",
      {
        query: { sessionId: this.#sessionId, contextTypes: JSON.stringify(["file_transfer"]) },
        what: "find the transfer directory",
        acceptsFailure: true,
      },
      signal,
    );
    for (const item of Array.isArray(envelope.data) ? envelope.data : []) {
      const contextId = textOf(fieldOf(item, "contextId"));
      const directory = textOf(fieldOf(item, "contextPath")).replace(/\/+$/, "");
      if (contextId !== "" && directory !== "") return { contextId, directory };
    }
    return undefined;
  }
}

/** The tasks are JSON in JSON in JSON (protocol §8.4). */
function tasksOf(data: unknown): readonly unknown[] {
  const groups = decoded(fieldOf(data, "contextStatus"));
  if (!Array.isArray(groups)) return [];
  return groups.flatMap((group): readonly unknown[] => {
    if (fieldOf(group, "type") !== "data") return [];
    const tasks = decoded(fieldOf(group, "data"));
    return Array.isArray(tasks) ? tasks : [];
  });
}
