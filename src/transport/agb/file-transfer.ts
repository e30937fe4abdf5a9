import { randomUUID } from "node:crypto";
import { systemClock } from "../../clock.ts";
import type { ErrorCode } from "../../errors.ts";
import { hasCode, TransportError } from "../../errors.ts";
import { sleepOrAbort } from "../retry-policy.ts";
import { shorten } from "../shorten.ts";
import type { UploadedFile, UploadSource } from "../transport.ts";
import type { AgbClient } from "./agb-client.ts";
import { isSessionGone } from "./agb-client.ts";
import { decoded, fieldOf, textOf } from "./parse-envelope.ts";

/** First pause between two looks at a transfer, and how much longer the longest is. */
const LOOK_PAUSE_MS = 1000;
const LONGEST_LOOK = 3;
/** The SDKs give a transfer up after as long (protocol §8.4). */
const LONGEST_SETTLING_MS = 225_000;
/** Right after creation the context may not be there yet (protocol §9); pauses in parts of one between looks. */
const CONTEXT_ATTEMPTS = 8;
const CONTEXT_PAUSE = 0.75;

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
  readonly #pauseMs: number;
  #context: Promise<Context | undefined> | undefined;
  #prepared: Promise<Place> | undefined;

  constructor(client: AgbClient, sessionId: string, options: { readonly pauseMs?: number } = {}) {
    this.#client = client;
    this.#sessionId = sessionId;
    this.#pauseMs = options.pauseMs ?? LOOK_PAUSE_MS;
  }

  /** Finds out whether the session has a transfer context; asked once. */
  async isAvailable(signal: AbortSignal): Promise<boolean> {
    try {
      return (await this.#find(1, signal)) !== undefined;
    } catch (error) {
      if (hasCode(error, "NOT_POSSIBLE_HERE")) return false;
      throw error;
    }
  }

  /** Finds the place for the next upload while its bytes are still being made. */
  prepare(signal: AbortSignal): void {
    this.#prepared ??= this.#place(signal);
    this.#prepared.catch(() => undefined);
  }

  /**
   * Stores the bytes and starts their way into the session; see `Transport.upload`. What is refused for good is
   * `NOT_POSSIBLE_HERE`, so that the caller can deliver in another way.
   */
  async upload(source: UploadSource, signal: AbortSignal): Promise<UploadedFile> {
    const prepared = this.#prepared ?? this.#place(signal);
    this.#prepared = undefined;
    const { contextId, directory, filePath, url } = await prepared;
    await this.#put(url, source, signal);
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
          .repeat("/sdk/DeleteContextFile", { query, what: "remove the upload" }, signal)
          .catch(() => undefined);
      },
    };
  }

  /** The bytes, opened anew for each try: a second one replaces what the first has stored. */
  async #put(url: string, source: UploadSource, signal: AbortSignal): Promise<void> {
    const send = async (own: AbortSignal) => await this.#putOnce(url, source, own);
    await this.#client.requests.run({ what: "upload the contents", repeats: "always" }, send, signal);
  }

  async #putOnce(url: string, source: UploadSource, signal: AbortSignal): Promise<void> {
    const { pool, requests, timeoutMs } = this.#client;
    const answer = await pool
      .send(
        url,
        {
          // No content type: it is part of the signature, and the store refuses one it was not told of.
          method: "PUT",
          headers: { "content-length": String(source.sizeBytes) },
          body: { sizeBytes: source.sizeBytes, chunks: source.open(), onSent: () => requests.heard() },
          timeoutMs,
        },
        signal,
      )
      .catch((error: unknown) => {
        // The service can be reached and its store cannot: there is no way to it from here.
        const isFinal = error instanceof TransportError && !error.retryable;
        throw isFinal ? notPossible(error, "UNREACHABLE") : error;
      });
    const { status, retryAfterMs } = answer;
    if ([200, 201, 204].includes(status)) return;
    const message = `the upload was refused: HTTP ${status} ${shorten(answer.body.toString("utf8"))}`.trimEnd();
    const patience = { retryable: true, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) };
    if (status === 429) throw new TransportError("THROTTLED", message, patience);
    if (status >= 500 || status === 408) throw new TransportError("UNAVAILABLE", message, patience);
    throw new TransportError("NOT_POSSIBLE_HERE", message);
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
    const { data } = await this.#client
      .repeat("/sdk/GetContextFileUploadUrl", { query: { contextId, filePath }, what: "get an upload address" }, signal)
      .catch((error: unknown) => {
        throw notPossible(error, ...refusals);
      });
    const url = textOf(fieldOf(data, "url"));
    if (!/^https?:/.test(url) || !URL.canParse(url)) {
      throw new TransportError("NOT_POSSIBLE_HERE", "the service gave no upload address");
    }
    return { contextId, directory, filePath, url };
  }

  async #bring(contextId: string, directory: string, signal: AbortSignal): Promise<void> {
    const query = { sessionId: this.#sessionId, contextId, path: directory, mode: "download" };
    await this.#client
      .repeat("/sdk/SyncContext", { query, what: "bring the upload into the session" }, signal)
      .catch((error: unknown) => {
        throw notPossible(error, ...refusals, "UNAVAILABLE", "TIMEOUT", "THROTTLED");
      });
    await this.#settle(contextId, directory, signal);
  }

  /**
   * Resolves when the service says that the files have arrived, or says nothing any more: they may arrive all the same.
   * @throws {TransportError} `NOT_POSSIBLE_HERE` when it says that they never will; `SESSION_GONE`.
   */
  async #settle(contextId: string, directory: string, signal: AbortSignal): Promise<void> {
    const startedMs = performance.now();
    for (
      let pauseMs = this.#pauseMs;
      performance.now() - startedMs < LONGEST_SETTLING_MS;
      pauseMs = Math.min(this.#pauseMs * LONGEST_LOOK, pauseMs * 1.4)
    ) {
      await sleepOrAbort(systemClock, pauseMs, signal);
      let data: unknown;
      try {
        ({ data } = await this.#client.repeat(
          "/sdk/GetContextInfo",
          {
            method: "GET",
            query: { sessionId: this.#sessionId, contextId, path: directory, taskType: "download" },
            what: "look at the upload",
          },
          signal,
        ));
      } catch (error) {
        if (signal.aborted || isSessionGone(error)) throw error;
        return;
      }
      for (const task of tasksOf(data)) {
        const isOurs =
          textOf(fieldOf(task, "contextId")) === contextId &&
          textOf(fieldOf(task, "path")).replace(/\/+$/, "") === directory;
        if (!isOurs || textOf(fieldOf(task, "taskType")) !== "download") continue;
        const status = textOf(fieldOf(task, "status")).toLowerCase();
        const fault = textOf(fieldOf(task, "errorMessage"));
        if (failedStatus.has(status) || fault !== "")
          throw new TransportError("NOT_POSSIBLE_HERE", `the upload failed: ${shorten(fault || status)}`);
        if (doneStatus.has(status)) return;
      }
    }
  }

  /** Undefined while the session has none; asked again until it has, or says that it never will. */
  async #find(attempts: number, signal: AbortSignal): Promise<Context | undefined> {
    for (let attempt = 1; ; attempt += 1) {
      this.#context ??= this.#ask(signal);
      const asked = this.#context;
      try {
        const context = await asked;
        if (context !== undefined || attempt >= attempts) return context;
      } catch (error) {
        if (!hasCode(error, "NOT_POSSIBLE_HERE") && this.#context === asked) this.#context = undefined;
        throw error;
      }
      await sleepOrAbort(systemClock, this.#pauseMs * CONTEXT_PAUSE, signal);
      if (this.#context === asked) this.#context = undefined;
    }
  }

  async #ask(signal: AbortSignal): Promise<Context | undefined> {
    const { data } = await this.#client
      .repeat(
        "/sdk/GetAndLoadInternalContext",
        {
          query: { sessionId: this.#sessionId, contextTypes: JSON.stringify(["file_transfer"]) },
          what: "find the transfer directory",
        },
        signal,
      )
      .catch((error: unknown) => {
        throw notPossible(error, ...refusals);
      });
    for (const item of Array.isArray(data) ? data : []) {
      const contextId = textOf(fieldOf(item, "contextId"));
      const directory = textOf(fieldOf(item, "contextPath")).replace(/\/+$/, "");
      if (contextId !== "" && directory !== "") return { contextId, directory };
    }
    return undefined;
  }
}

/** What the service answers when it does not offer a call, such as `InvalidAction.NotFound` (protocol §10). */
const refusals = ["BAD_ANSWER", "ACCESS_DENIED"] as const;

/** An error of one of `codes` as the end of this way of delivery only; any other as it is. */
function notPossible(error: unknown, ...codes: readonly ErrorCode[]): unknown {
  if (!hasCode(error, ...codes)) return error;
  return new TransportError("NOT_POSSIBLE_HERE", error.message, { cause: error });
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
