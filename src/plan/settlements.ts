import type { WorkspacePath } from "../tree/workspace-path.ts";
import { ancestorsOf, isBelow, ROOT } from "../tree/workspace-path.ts";

/** What somebody decided about a conflict: replace the session's bytes (after a backup), or let them be. */
export type Settlement = "overwrite" | "keep";

/** Decisions by path; each holds for what is at the path and for everything below it. */
export type Settlements = ReadonlyMap<WorkspacePath, Settlement>;

/** The decision that holds at `path`: the innermost one. */
export function settlementAt(path: WorkspacePath, settlements: Settlements): Settlement | undefined {
  if (settlements.size === 0) return undefined;
  const places = [path, ...ancestorsOf(path).toReversed(), ROOT];
  for (const place of places) {
    const settlement = settlements.get(place);
    if (settlement !== undefined) return settlement;
  }
  return undefined;
}

/** The paths of decisions at and below which none of `trees` has anything: most likely they are mistyped. */
export function placesOfNothing(
  settlements: Settlements,
  trees: readonly ReadonlyMap<WorkspacePath, unknown>[],
): readonly WorkspacePath[] {
  return [...settlements.keys()].filter(
    (place) => !trees.some((tree) => tree.has(place) || [...tree.keys()].some((path) => isBelow(path, place))),
  );
}
