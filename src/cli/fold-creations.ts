import type { Step } from "../plan/plan.ts";
import { plural } from "../plural.ts";
import { printable } from "../tree/printable.ts";
import { describeStep } from "./describe-step.ts";
import { formatBytes } from "./quantities.ts";

/** So many creations are shown one by one, so many directories of them after that. */
const MOST_LINES = 20;

/** What is created, by directory where it is much: `+ app/src/ (34 files, 2 directories, 12.1 kB)`. In path order. */
export function foldCreations(steps: readonly Step[]): readonly string[] {
  if (steps.length <= MOST_LINES) return steps.map((step) => describeStep(step));
  const deepest = Math.max(...steps.map((step) => placeOf(step).length));
  for (let depth = deepest; ; depth -= 1) {
    const groups = groupsAt(steps, depth);
    if (groups.size <= MOST_LINES || depth === 0)
      return [...groups].map(([place, group]) => describeGroup(place, group));
  }
}

function groupsAt(steps: readonly Step[], depth: number): ReadonlyMap<string, readonly Step[]> {
  const groups = new Map<string, Step[]>();
  for (const step of steps) {
    const place = placeOf(step).slice(0, depth).join("/");
    const group = groups.get(place);
    if (group === undefined) groups.set(place, [step]);
    else group.push(step);
  }
  return groups;
}

/** The directory that a step counts for, name by name: the one that it makes, or the one that its file is in. */
function placeOf(step: Step): readonly string[] {
  const names = (step.op === "move" ? step.to : step.path).split("/");
  return step.op === "create-directory" ? names : names.slice(0, -1);
}

function describeGroup(place: string, group: readonly Step[]): string {
  const [only] = group;
  if (group.length === 1 && only !== undefined) return describeStep(only);
  const count = (op: Step["op"]) => group.filter((step) => step.op === op).length;
  const files = group.filter((step) => step.op === "write");
  const secret = files.filter(({ sensitive }) => sensitive).length;
  // The size of a secret is not to be read off a sum.
  const bytes = files.reduce((sum, { sensitive, sizeBytes }) => sum + (sensitive ? 0 : sizeBytes), 0);
  // The directory itself is on the line already.
  const inside = count("create-directory") - (group.some((step) => makes(step, place)) ? 1 : 0);
  const parts = [
    ...(files.length > 0 ? [plural(files.length, "file")] : []),
    ...(count("create-link") > 0 ? [plural(count("create-link"), "link")] : []),
    ...(inside > 0 ? [plural(inside, "directory", "directories")] : []),
    ...(files.length > secret ? [formatBytes(bytes)] : []),
    ...(secret > 0 ? [`${secret} sensitive`] : []),
  ];
  return `+ ${place === "" ? "." : printable(place)}/ (${parts.join(", ")})`;
}

function makes(step: Step, place: string): boolean {
  return step.op === "create-directory" && step.path === place;
}
