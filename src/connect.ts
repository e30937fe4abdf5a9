import { StepsEngine } from "./engine/steps/steps-engine.ts";
import type { ConnectOptions, Session } from "./session.ts";
import { DEFAULT_CONCURRENCY } from "./transport/requests.ts";
import type { Waiting } from "./transport/silence-watch.ts";

/**
 * Reaches a session: the embedded one, the one with the given id, a live one of the given name, or a new one.
 * @throws {TransportError} `NO_API_KEY`, `BAD_API_KEY`, `UNREACHABLE`, `SESSION_NOT_FOUND`, `SESSION_FAILED`.
 */
export async function connect(options: ConnectOptions): Promise<Session> {
  return options.local === undefined ? await connectToAgb(options) : await connectLocally(options, options.local);
}

async function connectLocally(options: ConnectOptions, directory: string): Promise<Session> {
  const { EmbeddedTransport } = await import("./transport/embedded/embedded-transport.ts");
  const { EmbeddedEngine } = await import("./engine/embedded/embedded-engine.ts");
  const { sessionId } = new EmbeddedTransport({ directory, root: "/" });
  return {
    id: sessionId,
    kind: "embedded",
    origin: "attached",
    localDirectory: directory,
    openWorkspace(root) {
      const transport = new EmbeddedTransport({ directory, root });
      return {
        transport,
        steps: new StepsEngine(transport, options.concurrency ?? DEFAULT_CONCURRENCY),
        batch: new EmbeddedEngine(transport),
      };
    },
    keepAlive: async () => undefined,
    release: async () => undefined,
    close: async () => undefined,
  };
}

async function connectToAgb(options: ConnectOptions): Promise<Session> {
  const [{ openConnection }, { agbSession }] = await Promise.all([
    import("./transport/agb/reach-session.ts"),
    import("./agb-session.ts"),
  ]);
  const { onEvent, concurrency = DEFAULT_CONCURRENCY } = options;
  const telling = onEvent && { onWaiting: (waiting: Waiting) => onEvent({ type: "waiting", ...waiting }) };
  const { connection, origin, keepAlive, release } = await openConnection({ ...options, ...telling });
  return agbSession(connection, { origin, concurrency, keepAlive, release });
}
