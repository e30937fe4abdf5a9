import { lstatSync, readFileSync, readlinkSync } from "node:fs";
import { dirname, join, resolve, sep } from "node:path";
import type { SourceKind, SourceLook } from "../desired/look-at-source.ts";
import { lookAtSource } from "../desired/look-at-source.ts";
import { hasErrno } from "../errors.ts";

/** As many links as Linux follows in one path (path_resolution(7)). */
const MOST_LINKS = 40;
/** What is mounted, as this process sees it (proc_pid_mountinfo(5)); not there on other systems. */
const MOUNTS = "/proc/self/mountinfo";

type Way = { readonly links: ReadonlyMap<string, string>; readonly others: ReadonlySet<string> };

/**
 * What the way to each source was when a watch first saw it. A component that was no link then and is one now, or on
 * which something was mounted since, leads to what nobody has named: the source counts as missing until it is as it
 * was (W33). A link that was one all along may be turned to another place.
 */
export class PinnedSources {
  readonly #known = new Set<string>();
  readonly #mounts = new Set(mountPoints());
  #mountedSince: ReadonlySet<string> = new Set();

  /** Before each look: notices what was mounted since. */
  refresh(): void {
    this.#mountedSince = new Set(mountPoints().filter((place) => !this.#mounts.has(place)));
  }

  /** As {@link lookAtSource}; what the way leads to by now is wrong. */
  readonly look = (localPath: string, wanted: SourceKind): SourceLook => {
    const way = wayTo(localPath);
    for (const [place, target] of way.links) {
      if (!this.#known.has(place)) continue;
      const message = `${localPath} is reached through ${place}, which has become a link to ${target}`;
      return { kind: "wrong", message, hint: "put it back, or start agb-sync watch again to follow the link" };
    }
    const mounted = [...this.#mountedSince].find((place) => way.others.has(place));
    if (mounted !== undefined) return { kind: "wrong", ...this.#mounted(localPath, mounted) };
    for (const place of way.others) this.#known.add(place);
    return lookAtSource(localPath, wanted);
  };

  /** Why a directory in a tree is not to be entered; undefined when it is. */
  readonly bar = (localPath: string): string | undefined =>
    this.#mountedSince.has(localPath) ? this.#mounted(localPath, localPath).message : undefined;

  #mounted(localPath: string, place: string): { readonly message: string; readonly hint: string } {
    const where = place === localPath ? "on it" : `on ${place}, above it`;
    const message = `${localPath} is left out: a file system was mounted ${where}, since the watch began`;
    return { message, hint: "unmount it, or start agb-sync watch again to take it in" };
  }
}

/** Every link that a path leads through, and everything else that is there on the way, the end included. */
function wayTo(localPath: string): Way {
  const links = new Map<string, string>();
  const others = new Set<string>();
  let place: string = sep;
  const names = namesOf(localPath);
  for (let name = names.shift(); name !== undefined; name = names.shift()) {
    if (name === "..") {
      place = dirname(place);
      continue;
    }
    const next = join(place, name);
    const target = targetOf(next);
    if (target === undefined || target === "") {
      if (target === "") others.add(next);
      place = next;
    } else {
      links.set(next, target);
      if (links.size > MOST_LINKS) break;
      if (target.startsWith(sep)) place = sep;
      names.unshift(...namesOf(target));
    }
  }
  return { links, others };
}

function namesOf(path: string): string[] {
  const text = path.startsWith(sep) ? resolve(path) : path;
  return text.split(sep).filter((name) => name !== "" && name !== ".");
}

/** Empty for what is no link, undefined for what is not there or cannot be looked at. */
function targetOf(place: string): string | undefined {
  try {
    const stats = lstatSync(place, { throwIfNoEntry: false });
    return stats?.isSymbolicLink() === false ? "" : stats && readlinkSync(place);
  } catch (error) {
    if (hasErrno(error, "EACCES", "ENOTDIR", "ENOENT", "EINVAL", "ENAMETOOLONG", "ELOOP")) return undefined;
    throw error;
  }
}

function mountPoints(): readonly string[] {
  let text: string;
  try {
    text = readFileSync(MOUNTS, "utf8");
  } catch {
    // No system that tells: what is mounted there is then told from other directories by their identity alone.
    return [];
  }
  return text.split("\n").flatMap((line) => {
    const [, , , , place] = line.split(" ");
    return place === undefined
      ? []
      : [place.replaceAll(/\\([0-7]{3})/g, (_, digits) => String.fromCharCode(Number.parseInt(String(digits), 8)))];
  });
}
