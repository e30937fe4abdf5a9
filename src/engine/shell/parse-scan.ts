import { createHash } from "node:crypto";
import { promisify } from "node:util";
import { gunzip } from "node:zlib";
import { TransportError } from "../../errors.ts";
import type { Digest } from "../../tree/digest.ts";
import { digestFromHex } from "../../tree/digest.ts";
import type { Entry } from "../../tree/entry.ts";
import type { WorkspacePath } from "../../tree/workspace-path.ts";
import { workspacePath, workspacePathFault } from "../../tree/workspace-path.ts";

/** What the scan command answered. `isIndexed`: the entry is as the index has it, so base knows its digest. */
export type ScanAnswer =
  | { readonly kind: "missing" }
  | { readonly kind: "notdir" }
  | { readonly kind: "same" }
  | {
      readonly kind: "tree";
      readonly baseText: string | undefined;
      /** SHA-256 of base as it is stored, in hex; "" for none. */
      readonly baseSha256: string;
      readonly journalText: string | undefined;
      /** Which of the two is none of ours, and was not read. */
      readonly odd: readonly ("base.json" | "journal.json")[];
      readonly found: ReadonlyMap<WorkspacePath, { readonly entry: Entry; readonly isIndexed: boolean }>;
      readonly digests: ReadonlyMap<WorkspacePath, Digest>;
      /** What the session left out because it is ignored. */
      readonly leftOut: readonly WorkspacePath[];
      /** Names that are no valid text: they cannot be declared and are left alone. */
      readonly unnameable: number;
    };

/** Largest answer that is unpacked. */
const LARGEST_BYTES = 1024 * 1024 * 1024;

/** @throws {TransportError} `BAD_ANSWER` for anything but a whole answer; `PERMISSION_DENIED` for a partial listing. */
export async function parseScan(text: string): Promise<ScanAnswer> {
  const [kind = "", ...rest] = text.split("\n");
  if (kind === "missing" || kind === "notdir" || kind === "same") return { kind };
  if (kind !== "tree") throw bad("an unknown word");
  const bytes = await unpack(rest.join(""));
  const base = stateFile(bytes, "base");
  const journal = stateFile(base.rest, "journal");
  const baseSha256 = base.stored === undefined ? "" : createHash("sha256").update(base.stored).digest("hex");
  const records = journal.rest;
  const found = new Map<WorkspacePath, { entry: Entry; isIndexed: boolean }>();
  const digests = new Map<WorkspacePath, Digest>();
  const leftOut: WorkspacePath[] = [];
  let unnameable = 0;
  let stage: "records" | "digests" = "records";
  let isWhole = false;
  for (let start = 0; start < records.byteLength; ) {
    const end = records.indexOf(0, start);
    if (end < 0) throw bad("a record without an end");
    const record = records.subarray(start, end);
    start = end + 1;
    if (stage === "records" && record.byteLength === 1 && record[0] === HASH) {
      stage = "digests";
      continue;
    }
    const line = record.toString("utf8");
    if (!Buffer.from(line).equals(record)) {
      unnameable += 1;
      if (stage === "records") leftOut.push(...unnameableIn(line));
      continue;
    }
    if (stage === "digests") {
      const digest = digestFromHex(line.slice(0, 64));
      if (digest === undefined || !line.startsWith("  ./", 64)) throw bad("a digest line");
      digests.set(pathOf(line.slice(68)), digest);
      continue;
    }
    const isIndexed = line.startsWith("\t");
    const body = isIndexed ? line.slice(1) : line;
    if (body.startsWith("z//")) {
      isWhole = body === "z//0";
      continue;
    }
    const slashes = body.indexOf("//");
    if (!body.startsWith("./") || slashes < 3) throw bad("a record");
    if (body.slice(slashes + 2) === "i") {
      leftOut.push(pathOf(body.slice(2, slashes)));
      continue;
    }
    found.set(pathOf(body.slice(2, slashes)), { entry: entryOf(body.slice(slashes + 2)), isIndexed });
  }
  if (stage !== "digests") throw bad("no end of the listing");
  if (!isWhole) {
    throw new TransportError("PERMISSION_DENIED", "a directory of the workspace cannot be listed in the session", {
      hint: "make it readable, or put it under ignore:",
    });
  }
  const odd = (
    [
      ["base.json", base],
      ["journal.json", journal],
    ] as const
  ).flatMap(([name, { isOdd }]) => (isOdd ? [name] : []));
  const [baseText, journalText] = [base, journal].map(({ stored }) => stored?.toString("utf8"));
  return { kind: "tree", baseText, baseSha256, journalText, odd, found, digests, leftOut, unnameable };
}

type StateFile = { readonly stored: Buffer | undefined; readonly isOdd: boolean; readonly rest: Buffer };

/** The length of a file, NUL, and its bytes; 0 for a file that is not there, `odd` for what is none. */
function stateFile(bytes: Buffer, name: string): StateFile {
  const lengthEnd = bytes.indexOf(0);
  const length = bytes.subarray(0, lengthEnd).toString("latin1");
  if (length === "odd") return { stored: undefined, isOdd: true, rest: bytes.subarray(lengthEnd + 1) };
  const end = lengthEnd + 1 + Number(length);
  if (lengthEnd < 0 || !/^\d{1,15}$/.test(length) || end > bytes.byteLength) throw bad(`no ${name}`);
  return {
    stored: length === "0" ? undefined : bytes.subarray(lengthEnd + 1, end),
    isOdd: false,
    rest: bytes.subarray(end),
  };
}

const HASH = 0x23;
const GZIP_MARK = 0x1f;

/** A session without gzip sends the bytes as they are: they begin with a number, never with the mark of gzip. */
async function unpack(base64: string): Promise<Buffer> {
  const bytes = Buffer.from(base64, "base64");
  if (bytes[0] !== GZIP_MARK) return bytes;
  try {
    return await promisify(gunzip)(bytes, { maxOutputLength: LARGEST_BYTES });
  } catch (cause) {
    throw new TransportError("BAD_ANSWER", "scan: the answer cannot be unpacked", { retryable: true, cause });
  }
}

/** The path of a name that is no text, or what stands for it: the directories above it are not empty. */
function unnameableIn(line: string): readonly WorkspacePath[] {
  const [path = ""] = line.replace(/^\t?\.\//, "").split("//");
  return workspacePathFault(path) === undefined ? [workspacePath(path)] : [];
}

function pathOf(text: string): WorkspacePath {
  const fault = workspacePathFault(text);
  if (fault !== undefined) throw bad(`a path that ${fault}`);
  return workspacePath(text);
}

/** `d 755`, `l target`, `f 644 12 <mtime> <ctime> <inode>`, `s`. */
function entryOf(fields: string): Entry {
  if (fields === "s") return { kind: "special" };
  if (fields.startsWith("l ")) return { kind: "link", target: fields.slice(2) };
  const match = /^(d|f) ([0-7]{1,4})(?: (\d{1,16}) \S+ \S+ \d+)?$/.exec(fields);
  if (match === null || (match[1] === "f") !== (match[3] !== undefined)) throw bad("fields");
  const mode = Number.parseInt(match[2] ?? "", 8);
  return match[1] === "d" ? { kind: "directory", mode } : { kind: "file", mode, sizeBytes: Number(match[3]) };
}

function bad(what: string): TransportError {
  return new TransportError("BAD_ANSWER", `scan: the session's answer holds ${what} that cannot be read`, {
    retryable: true,
  });
}
