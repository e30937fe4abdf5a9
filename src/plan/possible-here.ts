import type { Features } from "../transport/transport.ts";
import type { Digest } from "../tree/digest.ts";
import { printable } from "../tree/printable.ts";
import type { WorkspacePath } from "../tree/workspace-path.ts";
import { nameCollisions } from "./name-collisions.ts";
import { pathsOf, targetOf } from "./order-steps.ts";
import type { Step } from "./plan.ts";

/**
 * Why a step cannot be done in a session with these features; undefined when it can. Known before anything is written.
 * `desired` are all declared paths.
 */
export function possibleHere(
  features: Features,
  unwritable: ReadonlySet<Digest>,
  desired: Iterable<WorkspacePath>,
): (step: Step) => string | undefined {
  const collisions = features.foldsNames ? nameCollisions(desired) : new Map<WorkspacePath, WorkspacePath>();
  return (step) => {
    const other = collisions.get(targetOf(step));
    if (other !== undefined) return `this file system cannot tell it from ${printable(other)}`;
    if (!features.anyName && pathsOf(step).some((path) => path.includes("\n"))) {
      return "a name with a line break cannot be told apart: the session has no shell tool";
    }
    switch (step.op) {
      case "create-link":
        return features.links ? undefined : "links cannot be made: the session has no shell tool";
      case "set-mode":
        return features.modes ? undefined : "modes cannot be set: the session has no shell tool";
      case "write":
        return unwritable.has(step.digest)
          ? "binary content cannot be sent: the session has neither a shell tool nor file transfer"
          : undefined;
      case "delete":
        return step.before.kind === "directory" && !features.removeDirectory
          ? "directories cannot be removed: the session has no shell tool"
          : undefined;
      case "create-directory":
      case "move":
        return undefined;
    }
  };
}
