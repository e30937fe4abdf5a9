import { UsageError } from "../errors.ts";
import type { Settlement, Settlements } from "../plan/settlements.ts";
import type { WorkspacePath } from "../tree/workspace-path.ts";
import { ROOT, workspacePath, workspacePathFault } from "../tree/workspace-path.ts";

/** What `--overwrite` and `--keep` say. @throws {UsageError} for what is no path below root, or is settled both ways. */
export function parseSettlements(options: {
  readonly overwrite?: readonly string[];
  readonly keep?: readonly string[];
}): Settlements {
  const settlements = new Map<WorkspacePath, Settlement>();
  for (const way of ["overwrite", "keep"] as const) {
    for (const text of options[way] ?? []) {
      const path = parsePath(way, text);
      const before = settlements.get(path);
      if (before !== undefined && before !== way) {
        throw new UsageError(`${text} cannot be both overwritten and kept`, { hint: "leave one of them out" });
      }
      settlements.set(path, way);
    }
  }
  return settlements;
}

function parsePath(way: Settlement, text: string): WorkspacePath {
  if (/^(\.\/*)+$/.test(text)) return ROOT;
  const fault = workspacePathFault(text);
  if (fault === undefined) return workspacePath(text);
  throw new UsageError(`--${way} ${JSON.stringify(text)}: the path ${fault}`, {
    hint: "name a path as the plan shows it, relative to root",
  });
}
