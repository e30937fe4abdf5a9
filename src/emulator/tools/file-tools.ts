import {
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  rmdirSync,
  type Stats,
  statSync,
  unlinkSync,
  writeSync,
} from "node:fs";
import { posix } from "node:path";
import { numberAt, textAt } from "../session/json-values.ts";
import { type Place, placeInside } from "../session/place-inside.ts";
import { errnoOf, SessionFilesError, strerror } from "../session/session-files-error.ts";
import type { Session } from "../session/sessions.ts";
import { answer, done, failure, type ToolAnswer, type ToolCall } from "./tool-answer.ts";

const isSuperuser = process.getuid?.() === 0;
/** The most of a file that one answer holds. */
const readAtMostBytes = 128 * 1024 * 1024;
const noFollow = constants.O_NOFOLLOW | constants.O_NONBLOCK;

/** read_file (protocol §6.1): a byte range as text, or as base64 with `format: "binary"`. */
export function readFile(call: ToolCall): ToolAnswer {
  const offset = Math.max(0, Math.trunc(numberAt(call.args, "offset") ?? 0));
  const length = Math.max(0, Math.trunc(numberAt(call.args, "length") ?? 0));
  const isBinary = textAt(call.args, "format") === "binary";
  return attempt("read file", pathOf(call), (path) => {
    const bytes = readBytes(call, path, offset, length);
    return answer(bytes.toString(isBinary ? "base64" : "utf8"));
  });
}

function readBytes(call: ToolCall, path: string, offset: number, length: number): Buffer {
  return within(call.session, path, true, (place) => {
    const stats = existing(place);
    if (stats.isDirectory()) throw new SessionFilesError("EISDIR");
    if (!stats.isFile()) throw new SessionFilesError("EINVAL");
    allow(call, stats, 0o400);
    const file = openSync(place.path, constants.O_RDONLY | noFollow);
    try {
      const available = Math.max(0, fstatSync(file).size - offset);
      const wanted = length > 0 ? Math.min(length, available) : available;
      if (wanted > readAtMostBytes) throw new SessionFilesError("EFBIG");
      const bytes = Buffer.allocUnsafe(wanted);
      let filled = 0;
      while (filled < bytes.length) {
        const count = readSync(file, bytes, filled, bytes.length - filled, offset + filled);
        if (count === 0) break;
        filled += count;
      }
      return bytes.subarray(0, filled);
    } finally {
      closeSync(file);
    }
  });
}

/** write_file (protocol §6.2): `overwrite`, `append` or `create_new`, text only, in place. */
export function writeFile(call: ToolCall): ToolAnswer {
  const content = textAt(call.args, "content");
  if (content === undefined) return failure(-32602, "content is required");
  const mode = textAt(call.args, "mode") ?? "overwrite";
  if (mode !== "overwrite" && mode !== "append" && mode !== "create_new") {
    return failure(-32602, `Invalid mode: ${mode}`);
  }
  const makesParent = call.args["create_parent_dir"] === true || call.settings.verdicts.missingParent === "create";
  return attempt("write file", pathOf(call), (path) => {
    if (makesParent) makeDirectories(call, posix.dirname(posix.normalize(path)));
    const bytes = Buffer.from(content, "utf8");
    writeBytes(call, path, mode, call.isHalf ? bytes.subarray(0, bytes.length >> 1) : bytes);
    return done;
  });
}

/** Writes like write_file; also used by tools that change a file. */
function writeBytes(
  call: ToolCall,
  path: string,
  mode: "overwrite" | "append" | "create_new",
  bytes: Uint8Array,
): void {
  within(call.session, path, true, (place) => {
    const { stats } = place;
    if (stats?.isDirectory()) throw new SessionFilesError("EISDIR");
    if (stats !== undefined && mode === "create_new") throw new SessionFilesError("EEXIST");
    if (stats !== undefined && !stats.isFile()) throw new SessionFilesError("EINVAL");
    if (stats === undefined) allowIn(call, place);
    else allow(call, stats, 0o200);
    const how = mode === "overwrite" ? constants.O_TRUNC : mode === "append" ? constants.O_APPEND : constants.O_EXCL;
    const fileMode = 0o666 & ~call.settings.verdicts.umask;
    const file = openSync(place.path, constants.O_WRONLY | constants.O_CREAT | how | noFollow, fileMode);
    try {
      if (stats === undefined) settleMode(file, fileMode);
      if (call.session.isDiskFull && bytes.length > 0) throw new SessionFilesError("ENOSPC");
      for (let written = 0; written < bytes.length; ) written += writeSync(file, bytes, written);
    } finally {
      closeSync(file);
    }
  });
}

/** The emulator's own umask must not show in the session. */
function settleMode(file: number, mode: number): void {
  if ((fstatSync(file).mode & 0o7777) !== mode) fchmodSync(file, mode);
}

/** list_directory (protocol §6.3): `[DIR] name` or `[FILE] name`, in the order of the directory. */
export function listDirectory(call: ToolCall): ToolAnswer {
  return attempt("list directory", pathOf(call), (path) =>
    within(call.session, path, true, (place) => {
      const stats = existing(place);
      if (!stats.isDirectory()) throw new SessionFilesError("ENOTDIR");
      allow(call, stats, 0o400);
      const lines = readdirSync(place.path, { withFileTypes: true }).map((entry) => {
        const isDirectory =
          entry.isDirectory() ||
          (entry.isSymbolicLink() &&
            call.settings.verdicts.linkTag === "follow" &&
            kindAt(call.session, `${path}/${entry.name}`)?.isDirectory() === true);
        return `${isDirectory ? "[DIR]" : "[FILE]"} ${entry.name}`;
      });
      return answer(lines.join("\n"));
    }),
  );
}

function kindAt(session: Session, path: string): Stats | undefined {
  try {
    return within(session, path, true, (place) => place.stats);
  } catch {
    return undefined;
  }
}

/** get_file_info in the exact layout of protocol §6.4; times are UTC. */
export function getFileInfo(call: ToolCall): ToolAnswer {
  const follows = call.settings.verdicts.linkInfo === "target";
  return attempt("get file status", pathOf(call), (path) =>
    within(call.session, path, follows, (place) => {
      const stats = existing(place);
      const letters = "rwxrwxrwx";
      const permissions = letters
        .split("")
        .map((letter, index) => (stats.mode & (0o400 >> index) ? letter : "-"))
        .join("");
      const modified = stats.mtime.toISOString().slice(0, 19).replace("T", " ");
      return answer(
        [
          `size: ${stats.size}`,
          `modified: ${modified}`,
          "created: N/A",
          "accessed: N/A",
          `isDirectory: ${stats.isDirectory()}`,
          `isFile: ${stats.isFile()}`,
          `permissions: ${permissions}`,
        ].join("\n"),
      );
    }),
  );
}

/** create_directory (protocol §6.5): makes missing parents. */
export function createDirectory(call: ToolCall): ToolAnswer {
  return attempt("create directory", pathOf(call), (path) => {
    if (!makeDirectories(call, path) && call.settings.verdicts.createExistingDirectory === "fail") {
      throw new SessionFilesError("EEXIST");
    }
    return done;
  });
}

/** Makes a directory and its missing parents, following links to directories. False if it was there. */
export function makeDirectories(call: Pick<ToolCall, "session" | "settings">, path: string): boolean {
  const parts = path.split("/").filter((part) => part !== "" && part !== ".");
  const attempts: string[] = [];
  let isNew = false;
  for (let count = parts.length; count >= 0; count -= 1) {
    const prefix = `${path.startsWith("/") ? "/" : ""}${parts.slice(0, count).join("/")}`;
    const stats = kindAt(call.session, prefix === "" ? "." : prefix);
    if (stats !== undefined && !stats.isDirectory()) {
      throw new SessionFilesError(count === parts.length ? "EEXIST" : "ENOTDIR");
    }
    if (stats !== undefined) break;
    attempts.push(prefix);
  }
  for (const prefix of attempts.toReversed()) {
    within(call.session, prefix, true, (place) => {
      allowIn(call, place);
      if (call.session.isDiskFull) throw new SessionFilesError("ENOSPC");
      const mode = call.settings.verdicts.directoryMode ?? 0o777 & ~call.settings.verdicts.umask;
      mkdirSync(place.path, { mode });
      const directory = openSync(place.path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
      try {
        settleMode(directory, mode);
      } finally {
        closeSync(directory);
      }
    });
    isNew = true;
  }
  return isNew;
}

/** delete_file (protocol §6.5): files and links, never directories. */
export function deleteFile(call: ToolCall): ToolAnswer {
  return attempt("delete file", pathOf(call), (path) =>
    within(call.session, path, false, (place) => {
      if (place.stats === undefined && call.settings.verdicts.deleteMissing === "succeed") return done;
      if (existing(place).isDirectory()) throw new SessionFilesError("EISDIR");
      allowIn(call, place);
      unlinkSync(place.path);
      return done;
    }),
  );
}

/** move_file (protocol §6.5): renames files, links and directories; a destination ending in `/` is a directory. */
export function moveFile(call: ToolCall): ToolAnswer {
  const source = textAt(call.args, "source");
  const destination = textAt(call.args, "destination");
  if (source === undefined || destination === undefined) return failure(-32602, "source and destination are required");
  const target = destination.endsWith("/") ? `${destination}${posix.basename(source)}` : destination;
  return attempt("move file", source, () =>
    within(call.session, source, false, (from) =>
      within(call.session, target, false, (to) => {
        existing(from);
        if (to.stats !== undefined && call.settings.verdicts.moveOntoExisting === "fail") {
          throw new SessionFilesError("EEXIST");
        }
        allowIn(call, from);
        allowIn(call, to);
        if (to.stats?.isDirectory() && from.stats?.isDirectory()) rmdirSync(to.path);
        renameSync(from.path, to.path);
        return done;
      }),
    ),
  );
}

/** edit_file (protocol §6.5): each edit replaces its first match, in order; nothing is written on `dryRun`. */
export function editFile(call: ToolCall): ToolAnswer {
  const edits = Array.isArray(call.args["edits"]) ? call.args["edits"] : [];
  return attempt("edit file", pathOf(call), (path) => {
    let text = readBytes(call, path, 0, 0).toString("utf8");
    for (const edit of edits) {
      const oldText = textAt(edit, "oldText") ?? "";
      const newText = textAt(edit, "newText") ?? "";
      const at = text.indexOf(oldText);
      if (at >= 0) text = text.slice(0, at) + newText + text.slice(at + oldText.length);
      else if (call.settings.verdicts.editWithoutMatch === "fail") {
        return failure(-32602, `Could not find exact match for edit: ${oldText}`);
      } else return done;
    }
    if (call.args["dryRun"] !== true) writeBytes(call, path, "overwrite", Buffer.from(text, "utf8"));
    return done;
  });
}

/** read_multiple_files in the layout of protocol §6.6, with its ambiguities. */
export function readMultipleFiles(call: ToolCall): ToolAnswer {
  const paths = Array.isArray(call.args["paths"]) ? call.args["paths"] : [];
  const blocks = paths
    .filter((path) => typeof path === "string")
    .map((path) => {
      const { text } = attempt("read file", path, () => answer(readBytes(call, path, 0, 0).toString("utf8")));
      return `${path}:\n${text}\n`;
    });
  return answer(blocks.join("\n---\n"));
}

/** search_files (protocol §6.7): absolute paths of what matches by name, at any depth; links are not entered. */
export function searchFiles(call: ToolCall): ToolAnswer {
  const pattern = namePattern(textAt(call.args, "pattern") ?? "");
  const excludes = excludedBy(call.args["excludePatterns"] ?? call.args["exclude_patterns"]).map(namePattern);
  return attempt("search files", pathOf(call), (path) => {
    const found: string[] = [];
    walk(call.session, path.replace(/\/+$/, ""), (itemPath, name) => {
      if (excludes.some((exclude) => exclude.test(name))) return false;
      if (pattern.test(name)) found.push(itemPath);
      return true;
    });
    return answer(found.length === 0 ? "No matches found" : found.join("\n"));
  });
}

/** A list, or names with commas between them. */
function excludedBy(given: unknown): readonly string[] {
  const items: readonly unknown[] = typeof given === "string" ? given.split(",") : Array.isArray(given) ? given : [];
  return items.flatMap((item) => (typeof item === "string" && item !== "" ? [item.trim()] : []));
}

function namePattern(pattern: string): RegExp {
  const escaped = pattern
    .replace(/[.+^${}()|[\]\\]/g, "\\$&")
    .replaceAll("*", "[^/]*")
    .replaceAll("?", "[^/]");
  return new RegExp(`^${escaped}$`, "su");
}

/**
 * Visits everything below a directory of the session, parents first, links not entered. `visit` gives false to leave
 * a directory out. What vanishes meanwhile is skipped; `path` itself must be a directory.
 */
export function walk(
  session: Session,
  path: string,
  visit: (path: string, name: string, stats: Stats) => boolean,
): void {
  const directories = [path];
  for (let directory = directories.pop(); directory !== undefined; directory = directories.pop()) {
    const here = directory;
    try {
      within(session, here === "" ? "/" : here, true, (place) => {
        if (!existing(place).isDirectory()) throw new SessionFilesError("ENOTDIR");
        for (const name of readdirSync(place.path).toSorted()) {
          const stats = lstatSync(`${place.path}/${name}`, { throwIfNoEntry: false });
          const child = `${here}/${name}`;
          if (stats !== undefined && visit(child, name, stats) && stats.isDirectory()) directories.push(child);
        }
      });
    } catch (error) {
      if (here === path || errnoOf(error) === undefined) throw error;
    }
  }
}

function pathOf(call: ToolCall): string | undefined {
  return textAt(call.args, "path");
}

/** Runs `work` on a place in the session and lets the place go afterwards. */
export function within<Result>(
  session: Session,
  path: string,
  follow: boolean,
  work: (place: Place) => Result,
): Result {
  const place = placeInside(session.tree, path, follow);
  try {
    return work(place);
  } finally {
    place.close();
  }
}

function attempt(action: string, path: string | undefined, work: (path: string) => ToolAnswer): ToolAnswer {
  if (path === undefined || path === "") return failure(-32602, "path is required");
  try {
    return work(path);
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === undefined) throw error;
    return failure(-32602, `Failed to ${action}: ${path}, error: ${strerror(errno)}`);
  }
}

function existing(place: Place): Stats {
  if (place.stats === undefined) throw new SessionFilesError("ENOENT");
  return place.stats;
}

/** Whether the user of the session may; the kernel answers that itself unless the emulator runs as root. */
function allow(call: Pick<ToolCall, "settings">, stats: Stats, bit: 0o400 | 0o200): void {
  if (isSuperuser && call.settings.user !== "root" && (stats.mode & bit) === 0) throw new SessionFilesError("EACCES");
}

/** Whether names in the directory of `place` may be made or removed; system directories (0555) never. */
function allowIn(call: Pick<ToolCall, "settings">, place: Place): void {
  if (!isSuperuser) return;
  const { mode } = statSync(place.parent);
  const isSystem = (mode & 0o7777) === 0o555;
  if (isSystem || (call.settings.user !== "root" && (mode & 0o300) !== 0o300)) throw new SessionFilesError("EACCES");
}
