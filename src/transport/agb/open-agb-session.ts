import { ShellEngine } from "../../engine/shell/shell-engine.ts";
import { StepsEngine } from "../../engine/steps/steps-engine.ts";
import { TransportError, UsageError } from "../../errors.ts";
import type { ConnectOptions, Session, Workspace } from "../../session.ts";
import { DEFAULT_CONCURRENCY, Requests } from "../requests.ts";
import { DEFAULT_RETRY_POLICY } from "../retry-policy.ts";
import type { Waiting } from "../silence-watch.ts";
import type { Transport } from "../transport.ts";
import { AgbClient } from "./agb-client.ts";
import { configFromEnvironment } from "./agb-config.ts";
import type { SessionDetails } from "./agb-sessions.ts";
import { AgbSessions } from "./agb-sessions.ts";
import type { AgbConnection, ShellTool } from "./agb-transport.ts";
import { AgbTransport, SharedProbe } from "./agb-transport.ts";
import { FileTransfer } from "./file-transfer.ts";
import { HttpPool } from "./http-pool.ts";
import { ApiRoute, LinkRoute } from "./tool-caller.ts";

type AccountOptions = Pick<ConnectOptions, "env" | "cwd" | "envFiles" | "retryPolicy" | "concurrency" | "onEvent">;

/** The account behind the environment's key, for what concerns no single session. `close` frees its sockets. */
export function openAccount(options: AccountOptions): {
  readonly sessions: AgbSessions;
  readonly client: AgbClient;
  close(): Promise<void>;
} {
  const { env, cwd, envFiles, concurrency = DEFAULT_CONCURRENCY, onEvent } = options;
  const { retryPolicy: policy = DEFAULT_RETRY_POLICY } = options;
  const config = configFromEnvironment(env, cwd, envFiles);
  const counters = { requests: 0, bytesSent: 0, bytesReceived: 0, retries: 0 };
  const pool = new HttpPool(counters, env);
  const onWaiting = onEvent && ((waiting: Waiting) => onEvent({ type: "waiting", ...waiting }));
  const client = new AgbClient(config, pool, new Requests(counters, { concurrency, policy, onWaiting }));
  return { sessions: new AgbSessions(client), client, close: async () => await pool.close() };
}

/**
 * Attaches to a session by id, finds a live one by name, or creates one.
 * @throws {TransportError} `NO_API_KEY`, `BAD_API_KEY`, `UNREACHABLE`, `SESSION_NOT_FOUND`, `SESSION_FAILED`.
 */
export async function openAgbSession(options: ConnectOptions, concurrency: number): Promise<Session> {
  const account = openAccount({ ...options, concurrency });
  try {
    const { details, origin } = await reachSession(account.sessions, options);
    const { client, sessions } = account;
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
    const keepAlive = async (signal: AbortSignal) => await sessions.keepAlive(sessionId, signal);
    return sessionOver(connection, { origin, concurrency, keepAlive });
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

/** A session over one connection: every workspace shares its probe and its requests. */
export function sessionOver(
  connection: AgbConnection,
  options: Pick<Session, "origin" | "keepAlive"> & { readonly concurrency: number },
): Session {
  const { origin, concurrency } = options;
  const probe = new SharedProbe(connection);
  const openAt = (root: string): Transport => new AgbTransport(connection, probe, root);
  const workspaces = new Map<string, Workspace>();
  return {
    id: connection.sessionId,
    kind: "agb",
    origin,
    openWorkspace: (root) => {
      const open = workspaces.get(root);
      if (open !== undefined) return open;
      const transport = openAt(root);
      const steps = new StepsEngine(transport, concurrency);
      const workspace: Workspace = { transport, steps, batch: new ShellEngine(transport, openAt) };
      workspaces.set(root, workspace);
      return workspace;
    },
    keepAlive: (signal) => options.keepAlive(signal),
    close: connection.close,
  };
}

type Reached = { readonly details: SessionDetails; readonly origin: Session["origin"] };

/** The session that the options mean: attached to by id, found by name, or created. */
export async function reachSession(
  sessions: AgbSessions,
  options: Pick<ConnectOptions, "sessionId" | "spec" | "create" | "signal">,
): Promise<Reached> {
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
  return { details: await sessions.create(spec, signal), origin: "created" };
}
