import { randomUUID } from "node:crypto";
import { systemClock } from "../../clock.ts";
import { hasCode, TransportError } from "../../errors.ts";
import { abortedError, type RetryPolicy, sleepOrAbort, throwIfAborted } from "../retry-policy.ts";
import { shorten } from "../shorten.ts";
import type { AgbClient } from "./agb-client.ts";
import { isSessionGone } from "./agb-client.ts";
import { clientName } from "./client-name.ts";
import { decoded, errorOf, fieldOf, recordOf, sessionGone, textOf } from "./parse-envelope.ts";

/** What is needed to talk to one session. `link` is there when the session offers the direct route. */
export type SessionDetails = {
  readonly sessionId: string;
  readonly link?: { readonly url: string; readonly token: string };
  /** Server name by tool, as the session itself lists them; empty when it does not. */
  readonly servers: ReadonlyMap<string, string>;
};

/** What our own labels say of a session; undefined where it has none, or where they could not be read. */
export type SessionOrigin = {
  readonly name: string | undefined;
  readonly image: string | undefined;
  /** By the clock of the client that created it. */
  readonly createdMs: number | undefined;
  /** As `clientName` gives it; undefined for a session that is not for one run. */
  readonly client?: string | undefined;
};

export type ListedSession = { readonly sessionId: string; readonly status: string };

/** The label by which a session of a name is found again. */
const NAME_LABEL = "agb-sync/name";
/**
 * The label by which a creation whose answer was lost is found again: `<seconds>_<random>_<image>`. Time and image are
 * what the service does not tell of a session (protocol §4.2).
 */
const CREATE_LABEL = "agb-sync/create";
const creation = /^(\d{1,12})_[^_]+_(.+)$/;

/** What a session was made for that is to end with its client, so that those of killed clients are found. */
const RUN_LABEL = "agb-sync/run";
const RUN_VALUE = "1";
/** Which process made it. */
const CLIENT_LABEL = "agb-sync/client";
/** How long a creation under way is waited for when the signal has aborted, and then what it may have left looked for. */
const ABANDONED_MS = 10_000;

/** Labels may take seconds to be searchable (protocol §4.2): six looks, 1.5 s apart with the default policy. */
const LABEL_LOOKS = 6;
const LABEL_PAUSES = 6;
/** The SDKs' own; a larger page may be refused (protocol §4.2). */
const PAGE_SIZE = "10";
/** Ten thousand sessions of one account; a service that gives new tokens for ever is not followed further. */
const MOST_PAGES = 1000;
/** Pages in a row that show no other session than those before. */
const MOST_IDLE_PAGES = 10;
/** Creations close together can fail for a moment (protocol §4.1): again after 5 s and 15 s with the default policy. */
const CREATE_ATTEMPTS = 3;
const CREATE_PAUSES = 20;
/** A look at a session must not itself be waited for. */
const LOOK_TIMEOUT_MS = 10_000;
/** Statuses of a session that is over or about to be (protocol §4.2). */
const endedStatus = new Set(["finish", "finished", "deleting", "deleted", "released", "stopped"]);
/** Reasons that another try does not mend. */
const finalReasons =
  /quota|ceased|image|auth|not_login|logged in|denied|forbidden|arrears|overdue|balance|invalid ?param/i;

/** What a new session shall be; a session spec of a manifest fits. */
export type NewSession = {
  readonly image: string;
  readonly name?: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly idleTimeoutMs?: number;
};

/** The life cycle of sessions (protocol §4). */
export class AgbSessions {
  readonly #client: AgbClient;
  readonly #policy: RetryPolicy;

  /** Pauses are multiples of the client's `baseDelayMs`. */
  constructor(client: AgbClient) {
    this.#client = client;
    this.#policy = client.requests.policy;
  }

  /**
   * Creates a session; a failure that names no lasting reason is tried again twice. When the answer is lost, the session
   * is looked for by a label that only this creation carries, so that none is leaked.
   * @throws {TransportError} `SESSION_FAILED` with the service's reason.
   */
  async create(spec: NewSession, signal: AbortSignal): Promise<SessionDetails> {
    return await this.#create(spec, tokenFor(spec), signal);
  }

  /**
   * As `create`, for a session that is to end with this process: labelled as such, and released again when its creation
   * fails half-way or is under way while the signal aborts.
   */
  async createForOneRun(spec: NewSession, signal: AbortSignal): Promise<SessionDetails> {
    throwIfAborted(signal);
    const token = tokenFor(spec);
    const labels = { ...spec.labels, [RUN_LABEL]: RUN_VALUE, [CLIENT_LABEL]: clientName() };
    const late = new AbortController();
    let timer: NodeJS.Timeout | undefined;
    const linger = () => {
      timer = setTimeout(() => late.abort(), ABANDONED_MS);
    };
    signal.addEventListener("abort", linger, { once: true });
    let details: SessionDetails;
    try {
      details = await this.#create({ ...spec, labels }, token, late.signal);
    } catch (error) {
      if (late.signal.aborted || !(isRefused(error) || hasCode(error, "BAD_API_KEY"))) await this.#forget(token);
      throw error;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener("abort", linger);
    }
    if (!signal.aborted) return details;
    await this.release(details.sessionId, AbortSignal.timeout(ABANDONED_MS));
    throw abortedError(signal);
  }

  /** The live sessions that were each made for one run. */
  async listRuns(signal: AbortSignal): Promise<readonly ListedSession[]> {
    return await this.list({ [RUN_LABEL]: RUN_VALUE }, signal);
  }

  /** Releases what a creation left that nobody had an answer of. That it cannot is no news: the creation failed already. */
  async #forget(token: string): Promise<void> {
    const late = AbortSignal.timeout(ABANDONED_MS);
    try {
      const found = await this.#findLate({ [CREATE_LABEL]: token }, late);
      if (found !== undefined) await this.release(found.sessionId, late);
    } catch (error) {
      if (!(error instanceof TransportError)) throw error;
    }
  }

  async #create(spec: NewSession, token: string, signal: AbortSignal): Promise<SessionDetails> {
    const named = spec.name === undefined ? {} : { [NAME_LABEL]: spec.name };
    const labels = { ...spec.labels, ...named, [CREATE_LABEL]: token };
    const { baseDelayMs, maxRetryAfterMs } = this.#policy;
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.#createOnce(spec, labels, signal);
      } catch (error) {
        if (!(error instanceof TransportError) || !error.retryable || attempt === CREATE_ATTEMPTS) throw error;
        const { retryAfterMs = 0 } = error;
        if (retryAfterMs > maxRetryAfterMs) throw error;
        // What was refused in so many words, or never sent, created nothing.
        const found = isRefused(error) ? undefined : await this.#findLate({ [CREATE_LABEL]: token }, signal);
        if (found !== undefined) return await this.attach(found.sessionId, signal);
        this.#client.pool.counters.retries += 1;
        const pauseMs = baseDelayMs * CREATE_PAUSES * 3 ** (attempt - 1);
        await sleepOrAbort(systemClock, Math.max(retryAfterMs, pauseMs), signal);
      }
    }
  }

  /** Details of a live session. @throws {TransportError} `SESSION_NOT_FOUND`. */
  async attach(sessionId: string, signal: AbortSignal): Promise<SessionDetails> {
    try {
      // `data.success` may be false for a healthy session here (protocol §4.2).
      const { data } = await this.#client.repeat(
        "/mcp/getSession",
        { body: { sessionId }, what: `find session ${sessionId}` },
        signal,
      );
      return detailsOf(data, sessionId);
    } catch (error) {
      if (!isSessionGone(error)) throw error;
      throw new TransportError("SESSION_NOT_FOUND", `there is no live session ${shorten(sessionId)}`, {
        hint: "list the live ones with: agb-sync session list",
        cause: error,
      });
    }
  }

  /** A live session of this name, or undefined. */
  async findByName(name: string, signal: AbortSignal): Promise<SessionDetails | undefined> {
    for (const { sessionId } of await this.list({ [NAME_LABEL]: name }, signal)) {
      try {
        const status = await this.status(sessionId, signal);
        if (status === "running" || status === "") return await this.attach(sessionId, signal);
      } catch (error) {
        if (!isSessionGone(error)) throw error;
      }
    }
    return undefined;
  }

  /** The ids of the live sessions that were made under this name. */
  async allNamed(name: string, signal: AbortSignal): Promise<readonly string[]> {
    const ids: string[] = [];
    for (const { sessionId } of await this.list({ [NAME_LABEL]: name }, signal)) {
      try {
        // A list may be behind (protocol §4.2).
        await this.attach(sessionId, signal);
        ids.push(sessionId);
      } catch (error) {
        if (!hasCode(error, "SESSION_NOT_FOUND")) throw error;
      }
    }
    return ids;
  }

  /** All live sessions with these labels, over all pages. */
  async list(labels: Readonly<Record<string, string>>, signal: AbortSignal): Promise<readonly ListedSession[]> {
    const found: ListedSession[] = [];
    const seen = new Set<string>();
    const ids = new Set<string>();
    let [known, idlePages] = [0, 0];
    for (let nextToken: string | undefined; ; ) {
      const envelope = await this.#client.repeat(
        "/sdk/ListSession",
        {
          method: "GET",
          query: { maxResults: PAGE_SIZE, nextToken, labels: JSON.stringify(labels) },
          what: "list the sessions",
        },
        signal,
      );
      // A count of none is an empty list, whatever stands for it; anything else that is no list says nothing.
      if (!Array.isArray(envelope.data) && envelope.fields["count"] !== 0) {
        throw new TransportError("BAD_ANSWER", "could not list the sessions: the answer holds no list", {
          hint: "try again later, or name a session with --session",
        });
      }
      for (const item of Array.isArray(envelope.data) ? envelope.data : []) {
        const sessionId = textOf(fieldOf(item, "sessionId"));
        if (sessionId === "" || ids.has(sessionId)) continue;
        ids.add(sessionId);
        found.push({ sessionId, status: textOf(fieldOf(item, "sessionStatus")) });
      }
      idlePages = ids.size > known ? 0 : idlePages + 1;
      known = ids.size;
      nextToken = textOf(envelope.fields["nextToken"]);
      if (nextToken === "" || seen.has(nextToken)) return found;
      if (idlePages === MOST_IDLE_PAGES || seen.size === MOST_PAGES) {
        throw new TransportError("BAD_ANSWER", `the list of sessions does not end: ${seen.size + 1} pages were read`, {
          hint: "try again later, or name a session with --session",
        });
      }
      seen.add(nextToken);
    }
  }

  /** What is known of where a session comes from. A service that does not tell, or not now, leaves all of it unknown. */
  async originOf(sessionId: string, signal: AbortSignal): Promise<SessionOrigin> {
    let labels: unknown;
    try {
      const query = { sessionId, maxResults: PAGE_SIZE };
      const what = `read the labels of session ${sessionId}`;
      const { data } = await this.#client.repeat("/sdk/GetLabel", { method: "GET", query, what }, signal);
      labels = decoded(fieldOf(data, "labels"));
    } catch (error) {
      if (signal.aborted || !(error instanceof TransportError)) throw error;
    }
    const label = (name: string) => textOf(recordOf(labels)?.[name]);
    const [, seconds, image] = creation.exec(label(CREATE_LABEL)) ?? [];
    return {
      name: label(NAME_LABEL) || undefined,
      image: image === undefined ? undefined : decodedImage(image),
      createdMs: seconds === undefined ? undefined : Number(seconds) * 1000,
      ...(label(RUN_LABEL) === "" ? {} : { client: label(CLIENT_LABEL) }),
    };
  }

  /** The status in lower case, such as `running`; empty when the service does not say. */
  async status(sessionId: string, signal: AbortSignal): Promise<string> {
    const { data } = await this.#client.repeat(
      "/mcp/getSessionInfo",
      { body: { sessionId }, what: `look at session ${sessionId}` },
      signal,
    );
    return textOf(fieldOf(data, "status")).toLowerCase();
  }

  /**
   * Why a session can serve no call any more; undefined while it lives. One request at once, for whoever waits for
   * another one. @throws {TransportError} when the service does not say.
   */
  async lossOf(sessionId: string, signal: AbortSignal): Promise<TransportError | undefined> {
    try {
      const options = { body: { sessionId }, what: "look whether the session lives", timeoutMs: LOOK_TIMEOUT_MS };
      const { data } = await this.#client.exchange("/mcp/getSessionInfo", options, signal);
      const status = textOf(fieldOf(data, "status")).toLowerCase();
      return endedStatus.has(status) ? sessionGone(`its status is ${status}`) : undefined;
    } catch (error) {
      if (isSessionGone(error) && error instanceof TransportError) return error;
      throw error;
    }
  }

  /** Starts the release of a session; one that is gone already counts as released. */
  async release(sessionId: string, signal: AbortSignal): Promise<void> {
    try {
      await this.#client.repeat(
        "/mcp/releaseSessionAsync",
        { body: { sessionId }, what: `delete session ${sessionId}` },
        signal,
      );
    } catch (error) {
      if (!isSessionGone(error)) throw error;
    }
  }

  /** Pushes the idle release away. */
  async keepAlive(sessionId: string, signal: AbortSignal): Promise<void> {
    await this.#client.repeat(
      "/mcp/refreshSessionIdleTime",
      { query: { sessionId }, body: {}, what: `keep session ${sessionId} alive` },
      signal,
    );
  }

  async #createOnce(
    spec: NewSession,
    labels: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): Promise<SessionDetails> {
    const timeout = spec.idleTimeoutMs === undefined ? {} : { timeout: Math.ceil(spec.idleTimeoutMs / 1000) };
    const envelope = await this.#client.call(
      "/mcp/createSession",
      {
        query: { imageId: spec.image },
        body: { labels: JSON.stringify(labels), ...timeout },
        what: "create a session",
        acceptsFailure: true,
      },
      signal,
    );
    const sessionId = textOf(fieldOf(envelope.data, "sessionId"));
    if (sessionId !== "" && fieldOf(envelope.data, "success") !== false) return detailsOf(envelope.data, sessionId);
    const error = errorOf(envelope, "could not create a session");
    const isLasting = finalReasons.test(error.message);
    if (error.code !== "BAD_ANSWER" && !(error.code === "UNAVAILABLE" && isLasting)) throw error;
    throw new TransportError("SESSION_FAILED", error.message, {
      hint: `check the image (${spec.image}) and the quota of the account`,
      retryable: !isLasting,
    });
  }

  async #findLate(labels: Readonly<Record<string, string>>, signal: AbortSignal): Promise<ListedSession | undefined> {
    for (let look = 0; look < LABEL_LOOKS; look += 1) {
      const [found] = await this.list(labels, signal);
      if (found !== undefined) return found;
      await sleepOrAbort(systemClock, this.#policy.baseDelayMs * LABEL_PAUSES, signal);
    }
    return undefined;
  }
}

/** Nothing was created: it says so. */
function isRefused(error: unknown): boolean {
  return hasCode(error, "THROTTLED", "SESSION_FAILED", "UNREACHABLE");
}

function tokenFor(spec: NewSession): string {
  return `${Math.floor(Date.now() / 1000)}_${randomUUID()}_${encodeURIComponent(spec.image)}`;
}

function detailsOf(data: unknown, sessionId: string): SessionDetails {
  const url = textOf(fieldOf(data, "linkUrl"));
  const token = textOf(fieldOf(data, "token"));
  return {
    sessionId,
    ...(url !== "" && token !== "" ? { link: { url: url.replace(/\/+$/, ""), token } } : {}),
    servers: serversOf(decoded(fieldOf(data, "toolList"))),
  };
}

function serversOf(tools: unknown): ReadonlyMap<string, string> {
  const servers = new Map<string, string>();
  for (const tool of Array.isArray(tools) ? tools : []) {
    if (recordOf(tool) === undefined) continue;
    const name = textOf(fieldOf(tool, "name"));
    if (name !== "") servers.set(name, textOf(fieldOf(tool, "server")) || textOf(fieldOf(tool, "serverName")));
  }
  return servers;
}

/** Somebody else may have written the label. */
function decodedImage(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}
