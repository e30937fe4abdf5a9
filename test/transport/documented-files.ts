import {
  appendFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { fieldOf, textOf } from "./json.ts";

/** What the reference leaves open of the file tools (protocol §6.5, §14). Left out: the first of each. */
export type FileVerdicts = {
  readonly move?: "refuses" | "replaces" | "refuses without a reason";
  readonly createExisting?: "succeeds" | "refuses" | "refuses without a reason";
  readonly deleteMissing?: "fails" | "succeeds" | "fails without a reason";
  readonly missingParent?: "refused" | "made";
  /** Of get_file_info and read_file on what is missing. */
  readonly missing?: "no such file" | "not found" | "File not found" | "does not exist";
  readonly pastEnd?: "empty" | "error";
  readonly listing?: "plain" | "reversed" | "blank before the tag" | "header" | "final newline";
  readonly info?: "as documented" | "with name and path" | "capital booleans";
  readonly base64?: "one line" | "wrapped";
};

/** A tool that says no; its text is wrapped as §5.4 has it. */
export class Refusal extends Error {}

const strerror: Readonly<Record<string, string>> = {
  ENOENT: "No such file or directory",
  EACCES: "Permission denied",
  EEXIST: "File exists",
  ENOTDIR: "Not a directory",
  EISDIR: "Is a directory",
  ENOTEMPTY: "Directory not empty",
};

/** One call of a file tool. @throws {Refusal}. */
export function fileTool(name: string, args: unknown, verdicts: FileVerdicts): string {
  const path = textOf(fieldOf(args, "path")).replace(/(?<=.)\/+$/, "");
  switch (name) {
    case "read_file":
      return read(path, args, verdicts);
    case "write_file":
      return doing("write file", path, () => write(path, args, verdicts));
    case "list_directory":
      return doing("list directory", path, () => list(path, verdicts));
    case "get_file_info":
      return doing("get file status", path, () => info(path, verdicts), verdicts);
    case "create_directory":
      return doing("create directory", path, () => {
        if (existsSync(path) && verdicts.createExisting === "refuses") fail("EEXIST");
        if (existsSync(path) && verdicts.createExisting === "refuses without a reason") throw new Refusal("failed");
        mkdirSync(path, { recursive: true });
        return "True";
      });
    case "delete_file":
      return doing("delete file", path, () => remove(path, verdicts));
    case "move_file":
      return move(textOf(fieldOf(args, "source")), textOf(fieldOf(args, "destination")), verdicts);
    default:
      throw new Refusal(`Unknown tool: ${name}`);
  }
}

function doing(action: string, path: string, work: () => string, verdicts: FileVerdicts = {}): string {
  try {
    return work();
  } catch (error) {
    if (error instanceof Refusal) throw error;
    const code = textOf(fieldOf(error, "code"));
    if (code === "ENOENT" && verdicts.missing === "not found") throw new Refusal(`${path}: not found`);
    if (code === "ENOENT" && verdicts.missing === "File not found") throw new Refusal("File not found");
    if (code === "ENOENT" && verdicts.missing === "does not exist") throw new Refusal(`Error: ${path} does not exist`);
    throw new Refusal(`Failed to ${action}: ${path}, error: ${strerror[code] ?? code}`);
  }
}

function fail(code: string): never {
  throw Object.assign(new Error(code), { code });
}

function read(path: string, args: unknown, verdicts: FileVerdicts): string {
  return doing(
    "read file",
    path,
    () => {
      const all = readFileSync(path);
      const offset = Number(fieldOf(args, "offset") ?? 0);
      const length = Number(fieldOf(args, "length") ?? 0);
      if (offset > all.byteLength && verdicts.pastEnd === "error") throw new Refusal("offset past the end");
      const bytes = all.subarray(offset, length === 0 ? undefined : offset + length);
      if (fieldOf(args, "format") !== "binary") return bytes.toString("utf8");
      const base64 = bytes.toString("base64");
      return verdicts.base64 === "wrapped" ? base64.replaceAll(/.{76}/g, "$&\n") : base64;
    },
    verdicts,
  );
}

function write(path: string, args: unknown, verdicts: FileVerdicts): string {
  if (verdicts.missingParent === "made") mkdirSync(dirname(path), { recursive: true });
  const content = textOf(fieldOf(args, "content"));
  const mode = textOf(fieldOf(args, "mode"));
  if (mode === "create_new" && existsSync(path)) fail("EEXIST");
  if (mode === "append") appendFileSync(path, content);
  else writeFileSync(path, content);
  return "True";
}

function list(path: string, { listing = "plain" }: FileVerdicts): string {
  const names = readdirSync(path);
  if (listing === "reversed") names.reverse();
  const blank = listing === "blank before the tag" ? " " : "";
  const isDirectory = (name: string) => statSync(join(path, name), { throwIfNoEntry: false })?.isDirectory() === true;
  const lines = names.map((name) => `${blank}${isDirectory(name) ? "[DIR]" : "[FILE]"} ${name}`);
  if (listing === "header" && lines.length > 0) lines.unshift("total");
  return `${lines.join("\n")}${listing === "final newline" && lines.length > 0 ? "\n" : ""}`;
}

function info(path: string, { info: layout = "as documented" }: FileVerdicts): string {
  const stats = statSync(path);
  const time = stats.mtime.toISOString().slice(0, 19).replace("T", " ");
  const word = (value: boolean) => (layout === "capital booleans" ? (value ? "True" : "False") : String(value));
  const letters = [6, 3, 0].map((shift) =>
    ["r", "w", "x"].map((letter, at) => (((stats.mode >> shift) & (4 >> at)) === 0 ? "-" : letter)).join(""),
  );
  return [
    ...(layout === "with name and path" ? [`name: ${path.split("/").at(-1) ?? ""}`, `path: ${path}`] : []),
    `size: ${stats.size}`,
    `modified: ${time}`,
    "created: N/A",
    `accessed: ${time}`,
    `isDirectory: ${word(stats.isDirectory())}`,
    `isFile: ${word(stats.isFile())}`,
    `permissions: ${letters.join("")}`,
  ].join("\n");
}

function remove(path: string, { deleteMissing = "fails" }: FileVerdicts): string {
  const there = lstatSync(path, { throwIfNoEntry: false });
  if (there === undefined && deleteMissing === "succeeds") return "True";
  if (there === undefined && deleteMissing === "fails without a reason") throw new Refusal("delete failed");
  if (there?.isDirectory() === true) throw new Refusal("Cannot delete directory with remove");
  rmSync(path);
  return "True";
}

function move(source: string, destination: string, verdicts: FileVerdicts): string {
  const { move: verdict = "refuses" } = verdicts;
  return doing("move file", `${source} -> ${destination}`, () => {
    if (existsSync(destination) && verdict === "refuses") fail("EEXIST");
    if (existsSync(destination) && verdict !== "replaces") throw new Refusal("move failed");
    renameSync(source, destination);
    return "True";
  });
}
