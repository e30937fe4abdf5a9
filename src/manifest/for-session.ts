import type { Manifest } from "./manifest.ts";

/**
 * The manifest as it is meant for one session: everything that holds `${session.id}` has its value, in templates too. The
 * same object when it is that already. Nothing may be planned, read or run without it.
 * @throws {ManifestError} for what only shows now, such as a path that is declared twice.
 */
export function forSession(manifest: Manifest, sessionId: string): Manifest {
  if (manifest.variables.sessionId === sessionId) return manifest;
  return manifest.resolve?.(sessionId) ?? { ...manifest, variables: { ...manifest.variables, sessionId } };
}
