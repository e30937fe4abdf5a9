import type { StepResult } from "../engine/engine.ts";
import { pathsOf } from "../plan/order-steps.ts";
import { treeAfter } from "../plan/tree-after.ts";
import type { Digest } from "../tree/digest.ts";
import type { Entry, FileEntry, Tree } from "../tree/entry.ts";
import { treeDigest } from "../tree/tree-digest.ts";
import type { WorkspacePath } from "../tree/workspace-path.ts";
import type { Planned } from "./planned.ts";

/**
 * Digest of what stands in the session: at the declared paths, and at those that the plan would clear or leaves in
 * conflict. It is the digest of the declared tree where that is what is there. What no mode was declared for, or the
 * session cannot tell, does not count (S41).
 */
export async function foundDigest(
  planned: Planned,
  signal: AbortSignal,
  results: readonly StepResult[] = [],
): Promise<Digest> {
  const { actual, desired, plan, workspace } = planned;
  if (planned.isUnchanged === true) return desired.digest;
  const applied = plan.steps.flatMap(({ step }, index) => (results[index]?.status === "applied" ? [step] : []));
  const tree = new Map(applied.length === 0 ? actual : treeAfter(actual, applied));
  for (const result of results)
    if (result.status === "conflict") tree.set(result.conflict.path, result.conflict.actual);
  const paths = new Set<WorkspacePath>([
    ...desired.tree.keys(),
    ...plan.steps.flatMap(({ step }) => pathsOf(step)),
    ...[...plan.conflicts, ...plan.unsupported].map(({ path }) => path),
    ...plan.waiting,
  ]);
  const found = new Map([...paths].flatMap((path) => entryAt(path, tree, planned)));
  const unhashed = [...found].flatMap(([path, entry]) =>
    entry.kind === "file" && entry.digest === undefined ? [path] : [],
  );
  const digests =
    unhashed.length === 0 ? new Map<WorkspacePath, Digest>() : await workspace.transport.digestFiles(unhashed, signal);
  for (const [path, digest] of digests) {
    const entry = found.get(path);
    if (entry?.kind === "file") found.set(path, { ...entry, digest });
  }
  return treeDigest(found);
}

/** A mode that nobody declared, or that the session cannot tell, counts as it is wanted. */
function entryAt(path: WorkspacePath, tree: Tree, { desired }: Planned): readonly (readonly [WorkspacePath, Entry])[] {
  const found = tree.get(path);
  if (found === undefined) return [];
  const wanted = desired.tree.get(path);
  if (found.kind === "directory" && wanted?.kind === "directory") {
    const isEnforced = desired.policies.get(path)?.declaredMode === true && found.mode !== undefined;
    return [[path, isEnforced ? found : wanted]];
  }
  return [
    [
      path,
      found.kind === "file" && wanted?.kind === "file" && found.mode === undefined ? withModeOf(wanted, found) : found,
    ],
  ];
}

function withModeOf({ mode }: FileEntry, found: FileEntry): FileEntry {
  return mode === undefined ? found : { ...found, mode };
}
