import { AgbSyncError } from "../errors.ts";

/** POSIX path below the workspace root: relative, normal, no "..", no NUL, no trailing slash. `""` is the root itself. */
export type WorkspacePath = string & { readonly brand: "WorkspacePath" };

/** Where agb-sync keeps its own state below the root: base, locks, staging, backups. Never a declared path. */
export const STATE_DIRECTORY = ".agb-sync";

/** Longest path that Linux accepts in one call, without the closing NUL (PATH_MAX). */
export const MAX_PATH_BYTES = 4095;
/** Longest name of one component (NAME_MAX). */
export const MAX_NAME_BYTES = 255;

/** Why `text` cannot be a workspace path, in a few words; undefined when it can. A trailing slash is tolerated. */
export function workspacePathFault(text: string): string | undefined {
  if (text === "") return "is empty";
  if (text.includes("\0")) return "contains a NUL character";
  if (text.startsWith("/")) return "is absolute; paths are relative to root";
  if (!text.isWellFormed()) return "is not valid Unicode";
  if (Buffer.byteLength(text) > MAX_PATH_BYTES) return `is longer than ${MAX_PATH_BYTES} bytes`;
  const names = text.split("/").filter((name) => name !== "" && name !== ".");
  if (names.includes("..")) return 'contains ".." and could leave root';
  if (names.length === 0) return "is the root itself";
  if (names[0] === STATE_DIRECTORY) return `lies in ${STATE_DIRECTORY}/, which agb-sync keeps for itself`;
  if (names.some((name) => Buffer.byteLength(name) > MAX_NAME_BYTES))
    return `has a name longer than ${MAX_NAME_BYTES} bytes`;
  return undefined;
}

/**
 * The one place where text becomes a WorkspacePath: `./a//b/` gives `a/b`.
 * @throws {AgbSyncError} `OUTSIDE_ROOT` when `workspacePathFault` names a fault.
 */
export function workspacePath(text: string): WorkspacePath {
  if (isPlain(text)) return text;
  const fault = workspacePathFault(text);
  if (fault !== undefined) throw new AgbSyncError("OUTSIDE_ROOT", `path ${JSON.stringify(text)} ${fault}`);
  return normal(text);
}

/** Most paths are short, of plain letters and without a leading dot anywhere: thousands are not worth a closer look. */
function isPlain(text: string): text is WorkspacePath {
  return text.length <= MAX_NAME_BYTES && plainPath.test(text);
}

const plainPath = /^[\w@+=~-][\w@+=~. -]*(?:\/[\w@+=~-][\w@+=~. -]*)*$/;

/** A path below the state directory, such as `statePath("backup", time)`. For agb-sync's own use only. */
export function statePath(...names: readonly string[]): WorkspacePath {
  return [STATE_DIRECTORY, ...names].join("/") as WorkspacePath;
}

/** The workspace root as a path. */
export const ROOT = "" as WorkspacePath;

/** `name` (one component, as a listing gave it) below `parent`. */
export function childPath(parent: WorkspacePath, name: string): WorkspacePath {
  return (parent === "" ? name : `${parent}/${name}`) as WorkspacePath;
}

/** The directory that holds `path`; `""` for a top-level name and for the root itself. */
export function parentPath(path: WorkspacePath): WorkspacePath {
  const slash = path.lastIndexOf("/");
  return (slash < 0 ? "" : path.slice(0, slash)) as WorkspacePath;
}

/** The last component of `path`. */
export function baseName(path: WorkspacePath): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

/** Every directory above `path` and below the root, outermost first: `a/b/c` gives `a`, `a/b`. */
export function ancestorsOf(path: WorkspacePath): WorkspacePath[] {
  const ancestors: WorkspacePath[] = [];
  for (let slash = path.indexOf("/"); slash >= 0; slash = path.indexOf("/", slash + 1)) {
    ancestors.push(path.slice(0, slash) as WorkspacePath);
  }
  return ancestors;
}

/** True when `path` lies below `directory` (not when they are equal). Everything lies below the root. */
export function isBelow(path: WorkspacePath, directory: WorkspacePath): boolean {
  return directory === "" ? path !== "" : path.startsWith(`${directory}/`);
}

/** True for the state directory itself and everything in it. */
export function isStatePath(path: string): boolean {
  return path === STATE_DIRECTORY || path.startsWith(`${STATE_DIRECTORY}/`);
}

/**
 * Order by UTF-8 bytes, so that every machine sorts alike and a directory comes before what is in it. Found out without
 * encoding: UTF-16 sorts alike but for surrogates, whose characters come last in UTF-8.
 */
export function comparePaths(one: string, other: string): number {
  const length = Math.min(one.length, other.length);
  for (let index = 0; index < length; index += 1) {
    const mine = one.charCodeAt(index);
    const theirs = other.charCodeAt(index);
    if (mine !== theirs) return mine >= 0xd800 && theirs >= 0xd800 ? rank(mine) - rank(theirs) : mine - theirs;
  }
  return one.length - other.length;
}

/** Surrogates behind the rest of the Basic Multilingual Plane. */
function rank(unit: number): number {
  return unit >= 0xe000 ? unit - 0x800 : unit + 0x2000;
}

function normal(text: string): WorkspacePath {
  return text
    .split("/")
    .filter((name) => name !== "" && name !== ".")
    .join("/") as WorkspacePath;
}
