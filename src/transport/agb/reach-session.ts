import { TransportError, UsageError } from "../../errors.ts";
import { DEFAULT_CONCURRENCY, Requests } from "../requests.ts";
import { DEFAULT_RETRY_POLICY, type RetryPolicy } from "../retry-policy.ts";
import type { Waiting } from "../silence-watch.ts";
import { AgbClient } from "./agb-client.ts";
import { configFromEnvironment } from "./agb-config.ts";
import type { NewSession, SessionDetails } from "./agb-sessions.ts";
import { AgbSessions } from "./agb-sessions.ts";
import type { AgbConnection, ShellTool } from "./agb-transport.ts";
import { FileTransfer } from "./file-transfer.ts";
import { HttpPool } from "./http-pool.ts";
import { ApiRoute, LinkRoute } from "./tool-caller.ts";

type AccountOptions = {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  readonly envFiles?: readonly string[];
  readonly retryPolicy?: RetryPolicy;
  readonly concurrency?: number;
  /** Told when nothing has come from the service for some seconds. */
  readonly onWaiting?: (waiting: Waiting) => void;
};

/** Which session is meant: the one with this id, else the live one named in `spec`, else a new one. */
type Wanted = {
  readonly sessionId?: string;
  readonly spec?: NewSession;
  /** False: never create. */
  readonly create?: boolean;
  /** What is created ends with this process: it is labelled so, and is found again when that is killed. */
  readonly isForOneRun?: boolean;
  readonly signal: AbortSignal;
};

/** The account behind the environment's key, for what concerns no single session. `close` frees its sockets. */
export function openAccount(options: AccountOptions): {
  readonly sessions: AgbSessions;
  readonly client: AgbClient;
  close(): Promise<void>;
} {
  const { env, cwd, envFiles, concurrency = DEFAULT_CONCURRENCY, onWaiting } = options;
  const { retryPolicy: policy = DEFAULT_RETRY_POLICY } = options;
  const config = configFromEnvironment(env, cwd, envFiles);
  const counters = { requests: 0, bytesSent: 0, bytesReceived: 0, retries: 0 };
  const pool = new HttpPool(counters, env);
  const client = new AgbClient(config, pool, new Requests(counters, { concurrency, policy, onWaiting }));
  return { sessions: new AgbSessions(client), client, close: async () => await pool.close() };
}

/** A way into one session, and how it was come by. */
type Opened = {
  readonly connection: AgbConnection;
  readonly origin: Reached["origin"];
  /** Pushes the idle release away. */
  readonly keepAlive: (signal: AbortSignal) => Promise<void>;
  /** Ends the session. */
  readonly release: (signal: AbortSignal) => Promise<void>;
};

/**
 * Attaches to a session by id, finds a live one by name, or creates one.
 * @throws {TransportError} `NO_API_KEY`, `BAD_API_KEY`, `UNREACHABLE`, `SESSION_NOT_FOUND`, `SESSION_FAILED`.
 */
export async function openConnection(options: AccountOptions & Wanted): Promise<Opened> {
  const account = openAccount(options);
  try {
    const { client, sessions } = account;
    const { details, origin } = await reachSession(sessions, options);
    const { sessionId } = details;
    client.requests.watchOver(async (signal) => await sessions.lossOf(sessionId, signal));
    const connection: AgbConnection = {
      sessionId,
      caller: details.link === undefined ? new ApiRoute(client, sessionId) : new LinkRoute(client, details),
      requests: client.requests,
      transfer: new FileTransfer(client, sessionId),
      timeoutMs: client.timeoutMs,
      shellTool: shellToolOf(details),
      close: () => account.close(),
    };
    const keepAlive = async (late: AbortSignal) => await sessions.keepAlive(sessionId, late);
    const release = async (late: AbortSignal) => await sessions.release(sessionId, late);
    return { connection, origin, keepAlive, release };
  } catch (error) {
    await account.close();
    throw error;
  }
}

/** A session that does not list its tools is asked for a shell. */
function shellToolOf({ servers }: SessionDetails): ShellTool {
  if (servers.size === 0 || servers.has("shell")) return "shell";
  return servers.has("run_code") ? "run_code" : "none";
}

type Reached = { readonly details: SessionDetails; readonly origin: "attached" | "found" | "created" };

/** The session that the options mean: attached to by id, found by name, or created. */
export async function reachSession(sessions: AgbSessions, options: Wanted): Promise<Reached> {
  const { sessionId, spec, signal } = options;
  if (sessionId !== undefined) return { details: await sessions.attach(sessionId, signal), origin: "attached" };
  const found = spec?.name === undefined ? undefined : await sessions.findByName(spec.name, signal);
  if (found !== undefined) return { details: found, origin: "found" };
  if (options.create === false) {
    throw new TransportError(
      "SESSION_NOT_FOUND",
      spec?.name === undefined ? "no session is named" : `there is no live session named ${spec.name}`,
      { hint: "name one with --session, or create one with: agb-sync apply" },
    );
  }
  if (spec === undefined) throw new UsageError("a session needs an image", { hint: "add session: to the manifest" });
  const details =
    options.isForOneRun === true ? await sessions.createForOneRun(spec, signal) : await sessions.create(spec, signal);
  return { details, origin: "created" };
}
