import { forSession } from "../manifest/for-session.ts";
import { ignoreMatcher } from "../manifest/ignore-matcher.ts";
import type { Manifest } from "../manifest/manifest.ts";
import { scanWith } from "../reconcile/scan-workspace.ts";
import type { Session } from "../session.ts";
import { sameContent } from "../tree/entry.ts";
import type { WorkspacePath } from "../tree/workspace-path.ts";
import type { PullOptions } from "./pull-report.ts";

/** What the session made or changed since the last apply: files and links that are not as base has them. */
export async function changedPaths(
  given: Manifest,
  session: Session,
  { strategy = "auto", signal }: PullOptions,
): Promise<ReadonlySet<WorkspacePath>> {
  const manifest = forSession(given, session.id);
  const request = {
    isIgnored: ignoreMatcher(manifest.ignore),
    ignorePatterns: manifest.ignore,
    expected: undefined,
    wanted: new Map<WorkspacePath, number>(),
    needsUnmanaged: true,
    checksum: false,
  };
  const { scan } = await scanWith(session.openWorkspace(manifest.root), strategy, request, signal);
  if (scan.kind === "unchanged") return new Set();
  const changed = [...scan.actual].filter(
    ([path, entry]) => entry.kind !== "directory" && !sameContent(scan.base?.entries.get(path)?.entry, entry),
  );
  return new Set(changed.map(([path]) => path));
}
