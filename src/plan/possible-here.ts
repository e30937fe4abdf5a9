import type { Digest } from "../tree/digest.ts";
import { printable } from "../tree/printable.ts";
import type { WorkspacePath } from "../tree/workspace-path.ts";
import { nameCollisions } from "./name-collisions.ts";
import { pathsOf, targetOf } from "./order-steps.ts";
import type { Step } from "./plan.ts";

/** What a plan has to know of a session's abilities; the features of a transport say it. */
export type Abilities = {
  readonly modes: boolean;
  readonly links: boolean;
  readonly removeDirectory: boolean;
  /** Names that differ in case or Unicode form only are one name here. */
  readonly foldsNames: boolean;
  /** Every name can be told apart in a listing. */
  readonly anyName: boolean;
};

/**
 * Why a step cannot be done in a session with these abilities; undefined when it can. Known before anything is written.
 * `desired` are all declared paths.
 */
export function possibleHere(
  abilities: Abilities,
  unwritable: ReadonlySet<Digest>,
  desired: Iterable<WorkspacePath>,
): (step: Step) => string | undefined {
  const collisions = abilities.foldsNames ? nameCollisions(desired) : new Map<WorkspacePath, WorkspacePath>();
  return (step) => {
    const other = collisions.get(targetOf(step));
    if (other !== undefined) return `this file system cannot tell it from ${printable(other)}`;
    if (!abilities.anyName && pathsOf(step).some((path) => path.includes("\n"))) {
      return "a name with a line break cannot be told apart: the session has no shell tool";
    }
    switch (step.op) {
      case "create-link":
        return abilities.links ? undefined : "links cannot be made: the session has no shell tool";
      case "set-mode":
        return abilities.modes ? undefined : "modes cannot be set: the session has no shell tool";
      case "write":
        return unwritable.has(step.digest)
          ? "binary content cannot be sent: the session has neither a shell tool nor file transfer"
          : undefined;
      case "delete":
        return step.before.kind === "directory" && !abilities.removeDirectory
          ? "directories cannot be removed: the session has no shell tool"
          : undefined;
      case "create-directory":
      case "move":
        return undefined;
    }
  };
}
