import type { WorkspacePath } from "../tree/workspace-path.ts";
import { isBelow } from "../tree/workspace-path.ts";
import type { ConflictRule, PruneRule } from "./manifest.ts";

/** What the manifest says about one declared path beside its entry. */
export type PathPolicy = {
  /** The mode was written in the manifest; a directory's undeclared mode is never enforced on one that exists. */
  readonly declaredMode: boolean;
  /** Written once when missing, then never compared. */
  readonly seedOnly: boolean;
  readonly sensitive: boolean;
  readonly onConflict?: ConflictRule;
};

/** A prune rule that holds at `path` and below. */
export type PruneScope = { readonly path: WorkspacePath; readonly rule: PruneRule };

/** The rule of the innermost scope that `path` lies in; `otherwise` where none does. */
export function pruneRuleFor(path: WorkspacePath, scopes: readonly PruneScope[], otherwise: PruneRule): PruneRule {
  let rule = otherwise;
  let depth = -1;
  for (const scope of scopes) {
    if (scope.path.length > depth && isBelow(path, scope.path)) {
      rule = scope.rule;
      depth = scope.path.length;
    }
  }
  return rule;
}
