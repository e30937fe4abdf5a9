import { AgbSyncError, hasCode, messageOf } from "../errors.ts";
import type { Transport } from "../transport/transport.ts";
import type { WorkspacePath } from "../tree/workspace-path.ts";
import { baseName, childPath, comparePaths, isStatePath, workspacePathFault } from "../tree/workspace-path.ts";
import type { Remote, RemoteEntry } from "./remote-entry.ts";
import { noBytes } from "./remote-entry.ts";

/** Everything at and below the paths, file by file: for sessions on this machine, and for those without a shell. */
export function remoteByFiles(
  transport: Transport,
  paths: readonly WorkspacePath[],
  isLeftOut: (path: WorkspacePath, isDirectory: boolean) => boolean,
  signal: AbortSignal,
): Remote {
  const faults: string[] = [];
  return { entries: visitAll(), faults };

  async function* visitAll(): AsyncGenerator<RemoteEntry> {
    for (const path of paths) yield* visit(path);
  }

  async function* visit(path: WorkspacePath): AsyncGenerator<RemoteEntry> {
    if (signal.aborted) throw new AgbSyncError("ABORTED", "stopped while files were pulled");
    const entry = path === "" ? ({ kind: "directory" } as const) : await transport.stat(path, signal);
    if (entry === undefined) return;
    if (path !== "" && isLeftOut(path, entry.kind === "directory")) return;
    switch (entry.kind) {
      case "file": {
        const { mode, sizeBytes } = entry;
        yield { name: path, kind: "file", mode, sizeBytes, bytes: () => transport.readFile(path, signal) };
        return;
      }
      case "link":
        yield { name: path, kind: "link", target: entry.target, sizeBytes: 0, bytes: noBytes };
        return;
      case "special":
        yield { name: path, kind: "odd", what: "a socket, FIFO or device", sizeBytes: 0, bytes: noBytes };
        return;
      case "directory":
        yield { name: path, kind: "directory", mode: entry.mode, sizeBytes: 0, bytes: noBytes };
        yield* below(path);
    }
  }

  async function* below(path: WorkspacePath): AsyncGenerator<RemoteEntry> {
    for (const name of await namesIn(path)) {
      const child = childPath(path, name);
      if (isStatePath(child)) continue;
      if (name.includes("/") || workspacePathFault(child) !== undefined || baseName(child) !== name) {
        yield { name: child, kind: "odd", what: "of a name that is none", sizeBytes: 0, bytes: noBytes };
      } else yield* visit(child);
    }
  }

  async function namesIn(path: WorkspacePath): Promise<readonly string[]> {
    try {
      return (await transport.listDirectory(path, signal)).map(({ name }) => name).toSorted(comparePaths);
    } catch (error) {
      if (!hasCode(error, "PERMISSION_DENIED", "NOT_FOUND", "NOT_A_DIRECTORY")) throw error;
      faults.push(messageOf(error));
      return [];
    }
  }
}
