import type { Session, Workspace } from "../../src/session.ts";

/** The same session, whose workspaces are what `change` makes of them. */
export function withWorkspace(session: Session, change: (workspace: Workspace) => Workspace): Session {
  return {
    id: session.id,
    kind: session.kind,
    origin: session.origin,
    openWorkspace: (root) => change(session.openWorkspace(root)),
    keepAlive: (signal) => session.keepAlive(signal),
    release: (signal) => session.release(signal),
    close: () => session.close(),
  };
}
