import type { ScanRequest } from "../apply/engine.ts";
import { ignoreMatcher } from "../desired/ignore-matcher.ts";
import { forSession } from "../manifest/for-session.ts";
import type { Manifest } from "../manifest/manifest.ts";
import type { Session } from "../session.ts";
import type { Base } from "../state/base.ts";
import type { Entry, Tree } from "../tree/entry.ts";
import { sameContent, sameMode } from "../tree/entry.ts";
import type { WorkspacePath } from "../tree/workspace-path.ts";
import { comparePaths } from "../tree/workspace-path.ts";
import type { ReconcileOptions } from "./reconcile-options.ts";
import { scanWith } from "./scan-workspace.ts";

/** One path of base that the session no longer holds as the last apply left it. */
export type Drift = { readonly path: WorkspacePath; readonly before: Entry; readonly after: Entry | undefined };

/** What changed in the session since the last apply. Reads only. */
export async function drift(given: Manifest, session: Session, options: ReconcileOptions): Promise<readonly Drift[]> {
  const manifest = forSession(given, session.id);
  const workspace = session.openWorkspace(manifest.root);
  const request: ScanRequest = {
    isIgnored: ignoreMatcher(manifest.ignore),
    ignorePatterns: manifest.ignore,
    expected: undefined,
    wanted: new Map(),
    needsUnmanaged: false,
    checksum: options.checksum ?? false,
  };
  const { scan } = await scanWith(workspace, options.strategy ?? "auto", request, options.signal);
  return scan.kind === "unchanged" || scan.base === undefined ? [] : driftBetween(scan.base, scan.actual, manifest);
}

/** Every path of `base` that `actual` does not hold as it was left, in path order; what is ignored by now was not looked at. */
export function driftBetween(base: Base, actual: Tree, { ignore }: Pick<Manifest, "ignore">): readonly Drift[] {
  const isIgnored = ignoreMatcher(ignore);
  const changed: Drift[] = [];
  for (const [path, { entry }] of base.entries) {
    if (isIgnored(path, entry.kind === "directory")) continue;
    const after = actual.get(path);
    if (after === undefined || !sameContent(entry, after) || !sameMode(entry, after)) {
      changed.push({ path, before: entry, after });
    }
  }
  return changed.toSorted((one, other) => comparePaths(one.path, other.path));
}
