import { ShellEngine } from "./engine/shell/shell-engine.ts";
import { StepsEngine } from "./engine/steps/steps-engine.ts";
import type { Session, Workspace } from "./session.ts";
import type { AgbConnection } from "./transport/agb/agb-transport.ts";
import { AgbTransport, SharedProbe } from "./transport/agb/agb-transport.ts";
import type { Transport } from "./transport/transport.ts";

/** A session over one connection: every workspace shares its probe and its requests. */
export function agbSession(
  connection: AgbConnection,
  options: Pick<Session, "origin" | "keepAlive" | "release"> & { readonly concurrency: number },
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
    release: (signal) => options.release(signal),
    close: connection.close,
  };
}
