import type { LockDifference } from "../lock/lock-differences.ts";
import { printable } from "../tree/printable.ts";

const SIGNS = { added: "+", removed: "-", changed: "~" } as const;

/** A line for each path that a lock file has otherwise. */
export function renderLockDifferences(differences: readonly LockDifference[]): readonly string[] {
  return differences.map(({ path, change, what }) => {
    const details = what.length === 0 ? "" : ` (${what.join(", ")})`;
    return `  ${SIGNS[change]} ${printable(path)}${details}`;
  });
}
