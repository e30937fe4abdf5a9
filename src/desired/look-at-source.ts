import type { Stats } from "node:fs";
import { lstatSync, readdirSync, statSync } from "node:fs";
import { basename, dirname } from "node:path";
import { hasErrno, messageOf } from "../errors.ts";
import { suggest } from "../manifest/suggest.ts";
import { realPathOf } from "./source-door.ts";

/** What a source may be declared as. */
export type SourceKind = "file" | "directory";

/** What is at the local path of a source; links are followed. Wrong is what the manifest says, unreadable what is there. */
export type SourceLook =
  /** `realPath`: where it lies without links. */
  | { readonly kind: "there"; readonly stats: Stats; readonly realPath: string }
  | { readonly kind: "wrong"; readonly message: string; readonly hint: string }
  | { readonly kind: "unreadable"; readonly reason: string };

/** What the system says of a path that leads to nothing; the last one of a path with a NUL character. */
const absent = new Set(["ENOENT", "ENOTDIR", "ELOOP", "ENAMETOOLONG", "ERR_INVALID_ARG_VALUE"]);

/** Looks at a source without opening it. */
export function lookAtSource(localPath: string, wanted: SourceKind): SourceLook {
  let stats: Stats;
  let realPath: string;
  try {
    realPath = realPathOf(localPath);
    stats = statSync(realPath);
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    return absent.has(code) ? missing(localPath, wanted, code) : { kind: "unreadable", reason: messageOf(error) };
  }
  if (wanted === "file" ? stats.isFile() : stats.isDirectory()) return { kind: "there", stats, realPath };
  const what = `the ${wanted === "file" ? "source" : "tree"} ${localPath}`;
  if (stats.isDirectory()) {
    return { kind: "wrong", message: `${what} is a directory`, hint: "declare directories under `trees`" };
  }
  if (stats.isFile()) {
    return { kind: "wrong", message: `${what} is not a directory`, hint: "declare a single file under `files`" };
  }
  const special = stats.isFIFO() ? "a FIFO" : stats.isSocket() ? "a socket" : "a device";
  return { kind: "wrong", message: `${what} is ${special}`, hint: `name a ${wanted} that can be read again and again` };
}

/** Whether the file system said that there is nothing; ENOTDIR: what was a directory above it is something else. */
export function isGone(error: unknown): boolean {
  return hasErrno(error, "ENOENT", "ENOTDIR");
}

function missing(localPath: string, wanted: SourceKind, code: string): SourceLook {
  const isLink = code === "ENOENT" && (lstatSync(localPath, { throwIfNoEntry: false })?.isSymbolicLink() ?? false);
  const found = code === "ELOOP" ? "a link that leads in a circle" : isLink ? "a link to nothing" : "not there";
  const near = found === "not there" ? suggest(basename(localPath), namesIn(dirname(localPath))) : undefined;
  return {
    kind: "wrong",
    message: `the ${wanted === "file" ? "source" : "tree"} ${localPath} is ${found}`,
    hint: `create it, or correct \`source\`${near === undefined ? "" : `; did you mean ${near}?`}`,
  };
}

/** Only for a hint: a directory that cannot be listed has no names to offer. */
function namesIn(directory: string): readonly string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}
