import type { ScanRequest } from "../engine/engine.ts";
import { forSession } from "../manifest/for-session.ts";
import { ignoreMatcher } from "../manifest/ignore-matcher.ts";
import type { Manifest, RunSpec } from "../manifest/manifest.ts";
import { owedAmong } from "../run/owed.ts";
import type { Session } from "../session.ts";
import type { Base } from "../tree/base.ts";
import type { Entry, Tree } from "../tree/entry.ts";
import { sameContent, sameMode } from "../tree/entry.ts";
import type { WorkspacePath } from "../tree/workspace-path.ts";
import { comparePaths } from "../tree/workspace-path.ts";
import type { ReconcileOptions } from "./reconcile-options.ts";
import { scanWith } from "./scan-workspace.ts";

/** One path of base that the session no longer holds as the last apply left it. */
export type Drift = { readonly path: WorkspacePath; readonly before: Entry; readonly after: Entry | undefined };

/** How a session stands to the last apply. */
export type SessionStatus = {
  /** False: nothing was applied there yet, or, `isLost`, nobody can tell what was. */
  readonly isApplied: boolean;
  readonly isLost: boolean;
  readonly drift: readonly Drift[];
  /** Commands that are due and have not run to their end (S40). */
  readonly owed: readonly RunSpec[];
};

/** What changed in the session since the last apply. Reads only. */
export async function drift(
  manifest: Manifest,
  session: Session,
  options: ReconcileOptions,
): Promise<readonly Drift[]> {
  return (await statusOf(manifest, session, options)).drift;
}

/** What changed in the session since the last apply, and what that still owes. Reads only. */
export async function statusOf(given: Manifest, session: Session, options: ReconcileOptions): Promise<SessionStatus> {
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
  if (scan.kind === "unchanged") return { isApplied: true, isLost: false, drift: [], owed: [] };
  const { base, actual, isBaseLost: isLost = false } = scan;
  if (base === undefined) return { isApplied: false, isLost, drift: [], owed: isLost ? manifest.run : [] };
  const owed = isLost ? manifest.run : owedAmong(base.owed, manifest.run);
  return { isApplied: true, isLost, drift: driftBetween(base, actual, manifest), owed };
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
