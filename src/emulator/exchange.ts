import { once } from "node:events";
import { createReadStream } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { setTimeout as wait } from "node:timers/promises";
import { type AdmissionRules, headersForPage, isSameSecret, preflightReply, refusalOfHead } from "./admission.ts";
import { type ObjectStore, storePrefix } from "./object-store.ts";
import { readBody } from "./read-body.ts";
import { plain, type Reply, refuse } from "./reply.ts";
import type { RequestHistory } from "./request-history.ts";
import type { Router } from "./router.ts";
import type { Action, RequestInfo } from "./session/action.ts";
import type { Settings } from "./session/emulator-options.ts";
import { isRecord, type JsonRecord, parseRecord, textAt } from "./session/json-values.ts";
import { drawFault, seededRandom } from "./session/parse-faults.ts";
import type { Sessions } from "./session/sessions.ts";
import type { Honesty } from "./tools/call-tool.ts";

const largestBodyBytes = 16 * 1024 * 1024;
/** A connection that hangs is let go after this. */
const hangMs = 300_000;
/** How long a client that was refused may go on sending what nobody reads, before it is cut off. */
const lingerMs = 1000;
const thrownAwayAtMostBytes = 1024 * 1024;

export type ExchangeParts = {
  readonly settings: Settings;
  readonly rules: AdmissionRules;
  readonly sessions: Sessions;
  readonly store: ObjectStore;
  readonly router: Router;
  readonly history: RequestHistory;
  readonly stopping: AbortSignal;
  /** Called for the connection of whoever showed a key, a token or a signature. */
  readonly trust: (socket: Socket) => void;
};

type Target = { readonly method: string; readonly path: string; readonly query: URLSearchParams };
/** Asks for a body that the client holds back until then ("Expect: 100-continue"). */
type AskForBody = () => void;

/** Requests from their arrival to their answer, with whatever fault strikes them. */
export class Exchange {
  readonly #settings: Settings;
  readonly #sessions: Sessions;
  readonly #parts: ExchangeParts;
  readonly #random: () => number;

  constructor(parts: ExchangeParts) {
    this.#settings = parts.settings;
    this.#sessions = parts.sessions;
    this.#parts = parts;
    this.#random = seededRandom(parts.settings.seed);
  }

  /** Answers one request; whoever is refused is refused before anything of the body is read, kept or counted. */
  serve(request: IncomingMessage, response: ServerResponse, askForBody: AskForBody = () => undefined): void {
    this.#serve(request, response, askForBody).catch((error: unknown) => {
      if (response.headersSent) response.destroy();
      else void send(response, refuse(500, "InternalError", String(error)), "whole");
    });
  }

  async #serve(request: IncomingMessage, response: ServerResponse, askForBody: AskForBody): Promise<void> {
    const { rules, trust } = this.#parts;
    for (const [name, value] of Object.entries(headersForPage(request, rules))) response.setHeader(name, value);
    response.setHeader("x-content-type-options", "nosniff");
    const target = targetOf(request);
    const refused = refusalOfHead(request, rules) ?? preflightReply(request, rules) ?? this.#refusalOf(request, target);
    if (refused !== undefined || target === undefined) {
      return await turnAway(request, response, refused ?? refuse(400, "InvalidRequest", "the request has no path"));
    }
    trust(request.socket);
    askForBody();
    await this.#handle(request, response, target);
  }

  /** The refusal of a request without what opens its door: a signature, the token of a link, or the key. */
  #refusalOf(request: IncomingMessage, target: Target | undefined): Reply | undefined {
    if (target === undefined) return undefined;
    const { method, path, query } = target;
    if (path.startsWith(storePrefix)) return this.#parts.store.refusal(method, path, query, request.headers);
    const session = this.#sessions.find(linkedSessionOf(path) ?? "");
    const token = request.headers["x-access-token"];
    if (session !== undefined && typeof token === "string" && isSameSecret(token, session.token)) return undefined;
    if (linkedSessionOf(path) !== undefined) return plain(502, { code: 502, message: "no such session" });
    if (isSameSecret(request.headers.authorization ?? "", `Bearer ${this.#settings.apiKey}`)) return undefined;
    return refuse(this.#settings.badKeyStatus, "NOT_LOGIN", "You are not logged in or your token has expired");
  }

  async #handle(request: IncomingMessage, response: ServerResponse, target: Target): Promise<void> {
    const { history } = this.#parts;
    const isStore = target.path.startsWith(storePrefix);
    const body = isStore ? { record: {}, sizeBytes: 0 } : await readBody(request, largestBodyBytes);
    if (body === undefined)
      return await turnAway(request, response, refuse(413, "RequestTooLarge", "the body is too large"));
    const info = describeRequest(history.count, target, body.record);
    history.add(info, body.sizeBytes);
    const action = await this.#actionFor(info);
    if (this.#settings.latencyMs > 0) await wait(this.#settings.latencyMs);
    if (typeof action === "object" && "delayMs" in action) await wait(action.delayMs);
    if (action === "drop-before") return void request.socket.destroy();
    if (action === "hang-before") return await this.#hang(request);
    if (typeof action === "object" && "refuse" in action) {
      const { refuse: code, message = "", httpStatusCode = 200 } = action;
      return await send(response, { ...refuse(httpStatusCode, code, message), status: 200 }, "whole");
    }
    if (typeof action === "object" && "status" in action && action.after !== true) {
      return await send(response, this.#failure(action.status), "whole");
    }
    this.#strikeSessions(action, info);
    const honesty: Honesty = action === "half" || action === "lie" || action === "cut" ? action : "honest";
    const reply = isStore
      ? await this.#answerStore(request, target, honesty)
      : await this.#answer(target, body.record, honesty);
    if (action === "drop-after" || action === "half") return void request.socket.destroy();
    if (action === "hang-after") return await this.#hang(request);
    if (typeof action === "object" && "status" in action)
      return await send(response, this.#failure(action.status), "whole");
    await send(response, reply, action === "truncate" ? "half" : "whole");
  }

  async #answerStore(request: IncomingMessage, { method, path }: Target, honesty: Honesty): Promise<Reply> {
    if (method !== "PUT") return this.#parts.store.get(path);
    return await this.#parts.store.put(path, request, honesty === "honest" || honesty === "cut");
  }

  async #answer({ method, path, query }: Target, body: JsonRecord, honesty: Honesty): Promise<Reply> {
    const call = { path, query, body, honesty };
    const linked = linkedSessionOf(path);
    const reply =
      linked === undefined
        ? await this.#parts.router.answer(method, call)
        : await this.#parts.router.answerLink(linked, call);
    return reply ?? refuse(404, "InvalidAction.NotFound", `The action ${method} ${path} is not found`);
  }

  async #actionFor(info: RequestInfo): Promise<Action | undefined> {
    const { faults, onRequest } = this.#settings;
    const own = await onRequest?.(info);
    if (own !== undefined || faults === undefined) return own;
    if (faults.killAfter !== undefined && info.index >= faults.killAfter) return "drop-before";
    if (faults.expireAfter === info.index) return "expire";
    if (faults.diskFullAfter !== undefined && info.index >= faults.diskFullAfter) return "disk-full";
    return drawFault(faults, this.#random);
  }

  #strikeSessions(action: Action | undefined, info: RequestInfo): void {
    if (action !== "expire" && action !== "disk-full") return;
    const one = info.sessionId === undefined ? undefined : this.#sessions.find(info.sessionId);
    for (const session of one === undefined ? this.#sessions.list() : [one]) {
      if (action === "expire") void this.#sessions.end(session);
      else this.#sessions.setDiskFull(session, true);
    }
  }

  #failure(status: number): Reply {
    if (status !== 429) return plain(status, { code: "ServiceUnavailable", success: false, message: "injected fault" });
    const reply = refuse(429, "Throttling", "too many requests");
    return { ...reply, headers: { ...reply.headers, "retry-after": String(this.#settings.retryAfterSeconds) } };
  }

  async #hang(request: IncomingMessage): Promise<void> {
    await Promise.race([
      once(request.socket, "close"),
      wait(hangMs, undefined, { signal: this.#parts.stopping, ref: false }).catch(() => undefined),
    ]);
    request.socket.destroy();
  }
}

/** What a request is for; undefined when its target is no path ("http://elsewhere/", "//elsewhere", "*"). */
function targetOf({ method = "GET", url = "" }: IncomingMessage): Target | undefined {
  if (!/^\/(?!\/)/.test(url) || !URL.canParse(`http://localhost${url}`)) return undefined;
  const { pathname: path, searchParams: query } = new URL(`http://localhost${url}`);
  return { method, path, query };
}

function linkedSessionOf(path: string): string | undefined {
  return /^\/link\/([^/]+)\/callTool$/.exec(path)?.[1];
}

/**
 * Answers and lets the connection go. To close it while the client still sends would take the answer from it: a little
 * of what comes is thrown away, the rest waits unread until the client has seen the answer, or the time is over.
 */
async function turnAway(request: IncomingMessage, response: ServerResponse, reply: Reply): Promise<void> {
  const body = typeof reply.body === "string" ? reply.body : "";
  const length = body === "" ? {} : { "content-length": Buffer.byteLength(body) };
  response.writeHead(reply.status, { ...reply.headers, ...length, connection: "close" });
  if (body === "") response.flushHeaders();
  else response.write(body);
  let thrownAwayBytes = 0;
  request.on("data", (chunk: Buffer) => {
    thrownAwayBytes += chunk.length;
    if (thrownAwayBytes > thrownAwayAtMostBytes) request.pause();
  });
  const over = new AbortController();
  const { signal } = over;
  await Promise.race([
    ...["end", "close", "error"].map((event) => once(request, event, { signal })),
    wait(lingerMs, undefined, { signal, ref: false }),
  ]).catch(() => undefined);
  over.abort();
  response.end();
}

function describeRequest(index: number, { method, path, query }: Target, body: JsonRecord): RequestInfo {
  const isLink = path.startsWith("/link/");
  const given = body["args"];
  const args = isRecord(given) ? given : typeof given === "string" ? parseRecord(given) : undefined;
  return {
    index,
    method,
    path,
    tool: path === "/mcp" ? textAt(body, "name") : isLink ? textAt(body, "tool") : undefined,
    args,
    sessionId: textAt(body, "sessionId") ?? query.get("sessionId") ?? (isLink ? path.split("/")[2] : undefined),
  };
}

/** `half` sends the first half of the body and breaks the connection. */
async function send(response: ServerResponse, reply: Reply, how: "whole" | "half"): Promise<void> {
  if (response.destroyed) return;
  if (typeof reply.body !== "string") {
    response.writeHead(reply.status, { ...reply.headers, "content-length": reply.body.sizeBytes });
    createReadStream(reply.body.file)
      .on("error", () => response.destroy())
      .pipe(response);
    return;
  }
  const bytes = Buffer.from(reply.body);
  response.writeHead(reply.status, { ...reply.headers, "content-length": bytes.byteLength });
  if (how === "whole") {
    response.end(bytes);
    return;
  }
  response.write(bytes.subarray(0, bytes.byteLength >> 1), () => response.destroy());
}
