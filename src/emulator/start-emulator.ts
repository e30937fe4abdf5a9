import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { rmSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { join } from "node:path";
import { UsageError } from "../errors.ts";
import { isLoopback } from "./admission.ts";
import { limitStrangers } from "./connections.ts";
import { makeContextSync } from "./context-sync.ts";
import { makeContexts } from "./contexts.ts";
import { Exchange } from "./exchange.ts";
import { makeObjectStore } from "./object-store.ts";
import { prepareRoot } from "./prepare-root.ts";
import { RequestHistory } from "./request-history.ts";
import { makeRouter } from "./router.ts";
import type { RequestInfo } from "./session/action.ts";
import type { EmulatorOptions, Settings } from "./session/emulator-options.ts";
import { settingsOf } from "./session/emulator-options.ts";
import { openNamespace } from "./session/namespace.ts";
import { removeTree } from "./session/remove-tree.ts";
import { errnoOf } from "./session/session-files-error.ts";
import { makeSessionTree } from "./session/session-tree.ts";
import { makeSessions } from "./session/sessions.ts";
import { makeUserland } from "./session/userland.ts";
import { toolCatalogue } from "./tool-catalogue.ts";
import { makeToolRunner } from "./tools/call-tool.ts";

/** A server that runs. */
export type Emulator = {
  /** `http://127.0.0.1:PORT`, for AGB_ENDPOINT. */
  readonly url: string;
  readonly port: number;
  readonly apiKey: string;
  /** The latest requests that showed a key, in order of arrival (`keptRequests`). */
  readonly requests: readonly RequestInfo[];
  /** Why the network may reach it; undefined while only this machine can. */
  readonly hostNotice: string | undefined;
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

const probeMs = 10_000;

/**
 * Starts an AGB-compatible server on loopback (protocol §3 to §9).
 * @throws {UsageError} when the port, the directory or the wanted userland cannot be had.
 */
export async function startEmulator(options: EmulatorOptions = {}): Promise<Emulator> {
  const settings = settingsOf(options, keyOf(options.apiKey));
  const rootDir = prepareRoot(settings.rootDir);
  try {
    return await start(settings, rootDir);
  } catch (error) {
    if (settings.rootDir === undefined) await removeTree(rootDir);
    throw error;
  }
}

async function start(settings: Settings, rootDir: string): Promise<Emulator> {
  // Two emulators may be given one directory: whatever is not known by an id of its own has the name of this run in it.
  const run = randomBytes(8).toString("hex");
  const userlandDir = join(rootDir, `userland-${run}`);
  const userland = await makeUserland(settings.userland, settings.withoutCommands, userlandDir);
  const missing = new Set(settings.missingTools);
  const shellNotice = missing.has("shell") ? undefined : await tryNamespace(settings, join(rootDir, `probe-${run}`));
  if (shellNotice !== undefined) for (const tool of ["shell", "run_code"]) missing.add(tool);
  const offered = toolCatalogue.filter(({ name }) => !missing.has(name));

  const contexts = makeContexts();
  const store = makeObjectStore(contexts, join(rootDir, "objects"), settings);
  const sync = makeContextSync(settings, contexts, store);
  const sessions = makeSessions(settings, rootDir, userland, (session) => sync.saveMounts(session));
  const tools = makeToolRunner(settings, sessions, userland, new Set(offered.map(({ name }) => name)));
  let url = "";
  const router = makeRouter({ settings, sessions, contexts, store, sync, tools, offered, baseUrl: () => url });

  const history = new RequestHistory(settings);
  const stopping = new AbortController();
  const server = createServer({
    keepAliveTimeout: 60_000,
    headersTimeout: settings.headTimeoutMs,
    requestTimeout: Math.max(300_000, settings.headTimeoutMs),
    connectionsCheckingInterval: Math.min(1000, settings.headTimeoutMs),
  });
  const trust = limitStrangers(server, settings.maxStrangers);
  const rules = { host: settings.host, allowedOrigins: settings.allowedOrigins };
  const exchange = new Exchange({
    settings,
    rules,
    sessions,
    store,
    router,
    history,
    stopping: stopping.signal,
    trust,
  });
  server.on("request", (request, response) => exchange.serve(request, response));
  server.on("checkContinue", (request: IncomingMessage, response: ServerResponse) =>
    exchange.serve(request, response, () => response.writeContinue()),
  );
  try {
    server.listen(settings.port, settings.host);
    await once(server, "listening");
  } catch (error) {
    await sessions.close();
    throw listenError(error, settings);
  }
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : settings.port;
  url = `http://${reachableBy(settings.host)}:${port}`;

  return {
    url,
    port,
    apiKey: settings.apiKey,
    requests: history.requests,
    hostNotice: isLoopback(settings.host)
      ? undefined
      : `The emulator listens on ${settings.host}: whoever reaches this machine and knows the key can use it.`,
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
      contexts.removeAll();
      await removeTree(settings.rootDir === undefined ? rootDir : userlandDir);
    },
  };
}

/** Tries once whether this machine lets us make namespaces; gives the sentence to tell the user if not. */
async function tryNamespace(settings: Settings, tree: string): Promise<string | undefined> {
  const tableFile = `${tree}.mounts`;
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

function listenError(error: unknown, { host, port }: Settings): unknown {
  const errno = errnoOf(error) ?? "";
  if (["ENOTFOUND", "EAI_AGAIN", "EADDRNOTAVAIL", "EINVAL"].includes(errno)) {
    return new UsageError(`this machine has no address ${JSON.stringify(host)} to listen on`, {
      hint: "leave --host out: the emulator is for this machine, at 127.0.0.1",
      cause: error,
    });
  }
  const reasons: Readonly<Record<string, string>> = { EADDRINUSE: "is taken", EACCES: "is for root only" };
  const reason = reasons[errno];
  if (reason === undefined) return error;
  return new UsageError(`port ${port} of ${host} ${reason}`, {
    hint: "choose another with --port, or leave it out for any that is free",
    cause: error,
  });
}

/** An address that is listened on, as part of a URL that this machine can reach. */
function reachableBy(host: string): string {
  if (host === "0.0.0.0" || host === "::") return "127.0.0.1";
  return host.includes(":") ? `[${host}]` : host;
}

/** A key for one run. @throws {UsageError} when one was given that no header can carry, or an empty one. */
function keyOf(given: string | undefined): string {
  if (given === undefined) return `ako-${randomBytes(16).toString("hex")}`;
  if (/^[\x21-\x7e]{1,1000}$/.test(given)) return given;
  throw new UsageError("the key of the emulator is empty, too long, or holds blanks or other than ASCII characters", {
    hint: "leave --api-key out for a new one",
  });
}
