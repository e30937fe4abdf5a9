import type { WorkspacePath } from "./workspace-path.ts";
import { isStatePath } from "./workspace-path.ts";

/** What is known of a path that a link may lead through; undefined: nothing, it may be anything in the session. */
export type OnTheWay =
  | { readonly kind: "directory" | "file" }
  /** `top`: the directory that this link may not lead out of. */
  | { readonly kind: "link"; readonly target: string; readonly top: WorkspacePath };

/** Why a link is refused, and through which path that is so (none: by its own text). */
export type LinkFault = {
  readonly kind: "leaves" | "state" | "circle" | "unsure";
  readonly through: WorkspacePath | undefined;
};

/** Links that Linux follows in one path before it says ELOOP (path_resolution(7)). */
const MOST_LINKS = 40;

/**
 * Follows the link at `path` as a system would, name by name and through other links, over what `lookUp` knows. `..` is
 * only understood after what is known to be a directory or a link: whatever else stands there in the session decides
 * where it leads.
 */
export function linkFault(
  path: WorkspacePath,
  link: Extract<OnTheWay, { kind: "link" }>,
  lookUp: (path: WorkspacePath) => OnTheWay | undefined,
): LinkFault | undefined {
  const place = namesOf(path).slice(0, -1);
  let { top } = link;
  let through: WorkspacePath | undefined;
  let followed = 0;
  /** Names of `place` that are known. */
  let known = place.length;
  const rest = namesOf(link.target);
  if (link.target.startsWith("/")) return { kind: "leaves", through };
  for (let name = rest.shift(); name !== undefined; name = rest.shift()) {
    if (name === "..") {
      if (place.length > known) return { kind: "unsure", through: pathOf(place) };
      if (place.length <= namesOf(top).length) return { kind: "leaves", through };
      place.pop();
      known = place.length;
      continue;
    }
    place.push(name);
    const here = pathOf(place);
    if (isStatePath(here)) return { kind: "state", through };
    const found = known === place.length - 1 ? lookUp(here) : undefined;
    if (found?.kind === "directory") known = place.length;
    // Nothing is below a file: the link leads nowhere.
    if (found?.kind === "file") return undefined;
    if (found?.kind !== "link") continue;
    followed += 1;
    if (followed > MOST_LINKS) return { kind: "circle", through: here };
    ({ top } = found);
    through = here;
    if (found.target.startsWith("/")) return { kind: "leaves", through };
    place.pop();
    rest.unshift(...namesOf(found.target));
  }
  return undefined;
}

function namesOf(path: string): string[] {
  return path.split("/").filter((name) => name !== "" && name !== ".");
}

function pathOf(names: readonly string[]): WorkspacePath {
  return names.join("/") as WorkspacePath;
}
