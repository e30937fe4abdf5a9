import { once } from "node:events";
import { createReadStream, rmSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { setTimeout as wait } from "node:timers/promises";
import { UsageError } from "../errors.ts";
import type { Action, RequestInfo } from "./action.ts";
import { makeContextSync } from "./context-sync.ts";
import { makeContexts } from "./contexts.ts";
import type { EmulatorOptions, Settings } from "./emulator-options.ts";
import { settingsOf } from "./emulator-options.ts";
import { isRecord, parseRecord, textAt } from "./json-values.ts";
import { openNamespace } from "./namespace.ts";
import { makeObjectStore, storePrefix } from "./object-store.ts";
import { drawFault, seededRandom } from "./parse-faults.ts";
import { prepareRoot } from "./prepare-root.ts";
import { removeTree } from "./remove-tree.ts";
import { plain, type Reply, refuse } from "./reply.ts";
import { type Call, makeRouter, type Router } from "./router.ts";
import { errnoOf } from "./session-files-error.ts";
import { makeSessionTree } from "./session-tree.ts";
import { makeSessions, type Sessions } from "./sessions.ts";
import { toolCatalogue } from "./tool-catalogue.ts";
import { type Honesty, makeToolRunner } from "./tools/call-tool.ts";
import { makeUserland } from "./userland.ts";

/** A server that runs. */
export type Emulator = {
  /** `http://127.0.0.1:PORT`, for AGB_ENDPOINT. */
  readonly url: string;
  readonly port: number;
  readonly apiKey: string;
  /** Every request so far, in order of arrival. */
  readonly requests: readonly RequestInfo[];
  /** Why sessions have no shell here; undefined when they have one or none was wanted. */
  readonly shellNotice: string | undefined;
  /** Where a session's `/` lies on this machine. @throws {Error} for a session that is not there. */
  sessionRoot(sessionId: string): string;
  /** Ends a session as if its time were over. */
  expireSession(sessionId: string): Promise<void>;
  /** Takes back a full disk. */
  freeDisk(sessionId: string): void;
  /** Ends every session and frees port, processes and files. */
  close(): Promise<void>;
};

const largestBodyBytes = 16 * 1024 * 1024;
const probeMs = 10_000;
/** A connection that hangs is let go after this. */
const hangMs = 300_000;

/**
 * Starts an AGB-compatible server on loopback (protocol §3 to §9).
 * @throws {UsageError} when the port, the directory or the wanted userland cannot be had.
 */
export async function startEmulator(options: EmulatorOptions = {}): Promise<Emulator> {
  const settings = settingsOf({ ...options, apiKey: options.apiKey ?? "ako-local" });
  const rootDir = prepareRoot(settings.rootDir);
  try {
    return await start(settings, rootDir);
  } catch (error) {
    if (settings.rootDir === undefined) await removeTree(rootDir);
    throw error;
  }
}

async function start(settings: Settings, rootDir: string): Promise<Emulator> {
  const userland = await makeUserland(settings.userland, settings.withoutCommands, join(rootDir, "userland"));
  const missing = new Set(settings.missingTools);
  const shellNotice = missing.has("shell") ? undefined : await tryNamespace(settings, rootDir);
  if (shellNotice !== undefined) for (const tool of ["shell", "run_code"]) missing.add(tool);
  const offered = toolCatalogue.filter(({ name }) => !missing.has(name));

  const contexts = makeContexts();
  const store = makeObjectStore(contexts, join(rootDir, "objects"));
  const sync = makeContextSync(settings, contexts, store);
  const sessions = makeSessions(settings, rootDir, userland, (session) => sync.saveMounts(session));
  const tools = makeToolRunner(settings, sessions, userland, new Set(offered.map(({ name }) => name)));
  let url = "";
  const router = makeRouter({ settings, sessions, contexts, store, sync, tools, offered, baseUrl: () => url });

  const requests: RequestInfo[] = [];
  const stopping = new AbortController();
  const server = createServer({ keepAliveTimeout: 60_000 }, (request, response) => {
    const exchange = new Exchange(settings, sessions, router, requests, stopping.signal);
    const isStore = (request.url ?? "").startsWith(storePrefix);
    const work = isStore
      ? exchange.handle(request, response, async (path, query, honesty) =>
          request.method === "PUT"
            ? await store.put(path, query, request.headers, request, honesty === "honest" || honesty === "cut")
            : store.get(path, query),
        )
      : exchange.handle(request, response, undefined);
    work.catch((error: unknown) => {
      if (!response.headersSent) void send(response, refuse(500, "InternalError", String(error)), "whole");
      else response.destroy();
    });
  });
  try {
    server.listen(settings.port, "127.0.0.1");
    await once(server, "listening");
  } catch (error) {
    await sessions.close();
    throw portError(error, settings.port);
  }
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : settings.port;
  url = `http://127.0.0.1:${port}`;

  return {
    url,
    port,
    apiKey: settings.apiKey,
    requests,
    shellNotice,
    sessionRoot: (sessionId) => {
      const session = sessions.find(sessionId);
      if (session === undefined) throw new Error(`there is no session ${sessionId}`);
      return session.tree;
    },
    expireSession: async (sessionId) => {
      const session = sessions.find(sessionId);
      if (session !== undefined) await sessions.end(session);
    },
    freeDisk: (sessionId) => {
      const session = sessions.find(sessionId);
      if (session !== undefined) sessions.setDiskFull(session, false);
    },
    close: async () => {
      stopping.abort();
      server.close();
      server.closeAllConnections();
      await sync.close();
      await sessions.close();
      if (settings.rootDir === undefined) await removeTree(rootDir);
    },
  };
}

/** Tries once whether this machine lets us make namespaces; gives the sentence to tell the user if not. */
async function tryNamespace(settings: Settings, rootDir: string): Promise<string | undefined> {
  const tree = join(rootDir, "probe");
  const tableFile = join(rootDir, "probe.mounts");
  makeSessionTree(tree, []);
  try {
    const namespace = await openNamespace({ tree, tableFile, user: settings.user });
    try {
      const env = { PATH: "/usr/bin:/bin" };
      const { exitCode, stderr } = await namespace.run({ argv: ["true"], cwd: "/", env, timeoutMs: probeMs });
      if (exitCode !== 0) throw new Error(`commands cannot be run here: ${stderr.toString("utf8").trim()}`);
    } finally {
      await namespace.close();
    }
    return undefined;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return `Sessions have no shell tool: ${reason}. Files work all the same.`;
  } finally {
    await removeTree(tree);
    rmSync(tableFile, { force: true });
  }
}

function portError(error: unknown, port: number): unknown {
  const reasons: Readonly<Record<string, string>> = { EADDRINUSE: "is taken", EACCES: "is for root only" };
  const reason = reasons[errnoOf(error) ?? ""];
  if (reason === undefined) return error;
  return new UsageError(`port ${port} of 127.0.0.1 ${reason}`, {
    hint: "choose another with --port, or leave it out for any that is free",
    cause: error,
  });
}

type StoreWork = (path: string, query: URLSearchParams, honesty: Honesty) => Promise<Reply>;

/** One request from its arrival to its answer, with whatever fault strikes it. */
class Exchange {
  readonly #settings: Settings;
  readonly #sessions: Sessions;
  readonly #router: Router;
  readonly #requests: RequestInfo[];
  readonly #stopping: AbortSignal;

  constructor(settings: Settings, sessions: Sessions, router: Router, requests: RequestInfo[], stopping: AbortSignal) {
    this.#settings = settings;
    this.#sessions = sessions;
    this.#router = router;
    this.#requests = requests;
    this.#stopping = stopping;
  }

  async handle(request: IncomingMessage, response: ServerResponse, store: StoreWork | undefined): Promise<void> {
    const method = request.method ?? "GET";
    const { pathname: path, searchParams: query } = new URL(request.url ?? "/", "http://127.0.0.1");
    const body = store === undefined ? await readBody(request) : {};
    if (body === undefined)
      return await send(response, refuse(413, "RequestTooLarge", "the body is too large"), "whole");
    const info = describeRequest(this.#requests.length, method, path, query, body);
    this.#requests.push(info);
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
    const reply =
      store === undefined
        ? await this.#answer(request, method, { path, query, body, honesty })
        : await store(path, query, honesty);
    if (action === "drop-after" || action === "half") return void request.socket.destroy();
    if (action === "hang-after") return await this.#hang(request);
    if (typeof action === "object" && "status" in action)
      return await send(response, this.#failure(action.status), "whole");
    await send(response, reply, action === "truncate" ? "half" : "whole");
  }

  async #answer(request: IncomingMessage, method: string, call: Call): Promise<Reply> {
    const link = /^\/link\/([^/]+)\/callTool$/.exec(call.path);
    if (link !== null && method === "POST") {
      const token = request.headers["x-access-token"];
      return await this.#router.answerLink(link[1] ?? "", typeof token === "string" ? token : "", call);
    }
    if (request.headers.authorization !== `Bearer ${this.#settings.apiKey}`) {
      return refuse(this.#settings.badKeyStatus, "NOT_LOGIN", "You are not logged in or your token has expired");
    }
    const reply = await this.#router.answer(method, call);
    return reply ?? refuse(404, "InvalidAction.NotFound", `The action ${method} ${call.path} is not found`);
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

  get #random(): () => number {
    const known = randoms.get(this.#settings) ?? seededRandom(this.#settings.seed);
    randoms.set(this.#settings, known);
    return known;
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
      wait(hangMs, undefined, { signal: this.#stopping, ref: false }).catch(() => undefined),
    ]);
    request.socket.destroy();
  }
}

/** One series of random faults for each server. */
const randoms = new WeakMap<Settings, () => number>();

/** The body as JSON; `{}` for an empty one, undefined for one that is too large. */
async function readBody(request: IncomingMessage): Promise<Readonly<Record<string, unknown>> | undefined> {
  if (Number(request.headers["content-length"] ?? 0) > largestBodyBytes) return undefined;
  const bytes = await buffer(request);
  return bytes.byteLength > largestBodyBytes ? undefined : (parseRecord(bytes.toString("utf8")) ?? {});
}

function describeRequest(
  index: number,
  method: string,
  path: string,
  query: URLSearchParams,
  body: Readonly<Record<string, unknown>>,
): RequestInfo {
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
