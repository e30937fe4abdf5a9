import { createHash } from "node:crypto";
import { posix } from "node:path";
import { TransportError } from "../../errors.ts";
import { quoteForShell } from "../../transport/shell-quote.ts";
import type { Base } from "../../tree/base.ts";
import { formatBaseHeader, formatBaseLine, recordsAt } from "../../tree/base.ts";
import type { Content } from "../../tree/content.ts";
import type { Digest } from "../../tree/digest.ts";
import { hexOf } from "../../tree/digest.ts";
import { isClosed, OWNER_ALL } from "../../tree/entry.ts";
import type { WorkspacePath } from "../../tree/workspace-path.ts";
import { baseName, comparePaths, parentPath } from "../../tree/workspace-path.ts";
import type { CommitRequest } from "../engine.ts";
import type { Archive, ArchiveEntry } from "./archive.ts";
import { isPlainName, packArchive } from "./archive.ts";
import type { CommitOps } from "./commit-ops.ts";
import type { Dialect } from "./dialect.ts";

/** Larger files that occur twice are copied in the session. */
const COPY_FROM_BYTES = 4096;

export type StagedFile = { readonly path: WorkspacePath; readonly mode: number; readonly content: Content };
/** What a commit in place reads back. */
export type Lists = {
  /** What is staged, and the files that must be as the plan saw them; as seen from the stage. */
  readonly pre: readonly Hashed[];
  /** Files that writes and moves put into place. */
  readonly placed: readonly Hashed[];
  /** Those, and what was set aside for them. */
  readonly checked: readonly Hashed[];
  /** What the deletions set aside. */
  readonly removed: readonly Hashed[];
  /** Files that base learns of without a step. */
  readonly adopted: readonly Hashed[];
  /** Directories and links that base learns of. */
  readonly others: readonly WorkspacePath[];
};
type Hashed = { readonly path: string; readonly digest: Digest };

export type PackParts = {
  readonly dialect: Dialect;
  readonly compresses: boolean;
  readonly base: Base;
  readonly next: Base;
  readonly changes: readonly { readonly path: WorkspacePath }[];
  readonly ops: CommitOps;
  readonly lists: Lists;
  readonly staged: readonly StagedFile[];
  readonly isFresh: boolean;
};

/** Packs contents, lists and lines of work into one archive (what is in it: commit-script.ts). */
export async function packCommit(request: CommitRequest, parts: PackParts): Promise<Archive> {
  const { ops, staged, dialect } = parts;
  const contents = contentsOf(request, staged);
  const named = dialect.takesAnyName ? { entries: contents.entries, renames: [] } : withPlainNames(contents.entries);
  const entries = [
    ...named.entries,
    textEntry("after", [...named.renames, ...contents.copies, ...contents.closing].join("\n")),
    textEntry("ops", ops.ops.map(({ line }) => line).join("\n")),
    ...(parts.isFresh ? freshState(parts.next) : listsOf(parts)),
  ];
  const totalBytes = staged.reduce((sum, { content }) => sum + content.sizeBytes, 0);
  let doneBytes = 0;
  const onBytes = (bytes: number) => {
    doneBytes += bytes;
    request.onBytes(Math.min(doneBytes, totalBytes), totalBytes);
  };
  return await packArchive(entries, { compresses: parts.compresses, onBytes });
}

/** The directories and files of the stage; `copies` and `closing` are commands for after the unpacking. */
function contentsOf(request: CommitRequest, staged: readonly StagedFile[]) {
  const first = new Map<Digest, StagedFile>();
  const entries: ArchiveEntry[] = stagedDirectories(request);
  const copies: string[] = [];
  const closing: string[] = [];
  for (const { path, mode, content } of staged) {
    const original = first.get(content.digest);
    const name = `t/${path}`;
    // A small file twice in the archive costs less than a process that copies it.
    if (original !== undefined && content.sizeBytes > COPY_FROM_BYTES) {
      const to = quoteForShell(name);
      const copy = `cp ${quoteForShell(`t/${original.path}`)} ${to} && chmod ${(mode | 0o200).toString(8)} ${to}`;
      copies.push(copy);
    } else {
      first.set(content.digest, original ?? { path, mode, content });
      entries.push({
        kind: "file",
        name,
        mode: mode | 0o200,
        sizeBytes: content.sizeBytes,
        open: () => content.open(),
      });
    }
    if ((mode & 0o200) === 0) closing.push(`chmod ${mode.toString(8)} ${quoteForShell(name)}`);
  }
  return { entries, copies, closing };
}

/** For a tar that takes short plain names only: the others are unpacked under a number and renamed, parents first. */
function withPlainNames(entries: readonly ArchiveEntry[]): {
  readonly entries: readonly ArchiveEntry[];
  readonly renames: readonly string[];
} {
  const parents = new Set<string>();
  const renames: string[] = [];
  const plain = entries.flatMap((entry, index): ArchiveEntry[] => {
    if (isPlainName(`${entry.name}/`)) return [entry];
    const name = quoteForShell(entry.name);
    if (entry.kind === "directory") {
      renames.push(`mkdir -p ${name} && chmod ${entry.mode.toString(8)} ${name}`);
      return [];
    }
    parents.add(posix.dirname(entry.name));
    renames.push(`mv -f n-${index} ${name}`);
    return [{ ...entry, name: `n-${index}` }];
  });
  const making = [...parents].map((parent) => `mkdir -p ${quoteForShell(parent)}`);
  return { entries: plain, renames: [...making, ...renames] };
}

function freshState(next: Base): readonly ArchiveEntry[] {
  const lines = [...next.entries]
    .toSorted(([one], [other]) => comparePaths(one, other))
    .map(([path, entry]) => formatBaseLine(path, entry));
  return [
    { kind: "directory", name: "t/.agb-sync", mode: 0o700 },
    textEntry("t/.agb-sync/base.json", [formatBaseHeader(next), ...lines].join("\n")),
  ];
}

/** What a commit in place checks, replaces in base and reads back. */
function listsOf({ base, next, changes, ops, lists }: PackParts): readonly ArchiveEntry[] {
  const linesIn = (of: Base) => recordsAt(of, changes).map(([path, record]) => formatBaseLine(path, record));
  const checks = [
    ...ops.absent.map((path) => `A ${quoteForShell(path)}`),
    ...ops.links.map(({ path, target }) => `K ${quoteForShell(path)} ${quoteForShell(target)}`),
  ];
  const pathsOf = (files: readonly { readonly path: string }[]) => files.map(({ path }) => path);
  // Where the lines of work set things aside: what comes with the archive need not be made by a process each.
  const places = new Set(ops.displaced.map(({ op, path }) => posix.join(`o/${op}`, parentPath(path))));
  return [
    ...[...places].map((name): ArchiveEntry => ({ kind: "directory", name, mode: 0o700 })),
    textEntry("checks", checks.join("\n")),
    listEntry("pre", pathsOf(lists.pre)),
    listEntry("placed", pathsOf(lists.placed)),
    listEntry("checked", pathsOf(lists.checked)),
    listEntry("removed", pathsOf(lists.removed)),
    listEntry("adopted", pathsOf(lists.adopted)),
    listEntry("others", lists.others),
    textEntry("verify", verifyLines(ops, false).join("\n")),
    textEntry("verify-removed", verifyLines(ops, true).join("\n")),
    textEntry("base-removed", linesIn(base).join("\n")),
    textEntry("base-added", linesIn(next).join("\n")),
  ];
}

/** On a fresh root directories and files come out of the archive; links are made, and modes closed, before it goes live. */
export function freshSteps(request: CommitRequest): CommitRequest["steps"] {
  return request.steps.flatMap(({ step }): CommitRequest["steps"] => {
    if (step.op === "create-link") return [{ step, after: [] }];
    if (step.op !== "create-directory" || !isClosed(step.mode)) return [];
    const closing = { op: "set-mode", path: step.path, mode: step.mode, before: undefined } as const;
    return [{ step: closing, after: [] }];
  });
}

export function stagedFiles(request: CommitRequest): readonly StagedFile[] {
  return request.steps.flatMap(({ step }) => {
    if (step.op !== "write") return [];
    const content = request.contents.get(step.digest);
    if (content === undefined) throw new TransportError("INTERNAL", `no content for ${step.path}`);
    return [{ path: step.path, mode: step.mode, content }];
  });
}

function stagedDirectories(request: CommitRequest): ArchiveEntry[] {
  return request.steps.flatMap(({ step }): ArchiveEntry[] =>
    step.op === "create-directory" ? [{ kind: "directory", name: `t/${step.path}`, mode: step.mode | OWNER_ALL }] : [],
  );
}

/** Looks at each file by itself: only needed when the digest over all of them is not what it should be. */
function verifyLines(ops: CommitOps, isLate: boolean): readonly string[] {
  const place = ({ op, position, path }: { op: number; position: number; path: WorkspacePath }) =>
    `${op} ${position} ${[parentPath(path), baseName(path)].map(quoteForShell).join(" ")}`;
  const displaced = ops.displaced.filter((one) => one.isLate === isLate);
  return [
    ...displaced.map((one) => {
      const placed = quoteForShell(one.after === undefined ? "" : hexOf(one.after));
      return "digest" in one.before
        ? `V ${place(one)} ${hexOf(one.before.digest)} ${placed}`
        : `VL ${place(one)} ${quoteForShell(one.before.target)} ${placed}`;
    }),
    ...(isLate ? [] : ops.placed.map((one) => `F ${place(one)} ${hexOf(one.digest)}`)),
  ];
}

/** What a commit reads back: by its steps, and by what base records beside them. */
export function listsFor(
  ops: CommitOps,
  staged: readonly StagedFile[],
  changed: readonly WorkspacePath[],
  next: Base,
  stage: string,
): Lists {
  const placedPaths = new Set(ops.placed.map(({ path }) => path));
  const adopted: Hashed[] = [];
  const others: WorkspacePath[] = [];
  for (const path of new Set(changed)) {
    const entry = next.entries.get(path)?.entry;
    if (entry?.kind === "file" && entry.digest !== undefined) {
      if (!placedPaths.has(path)) adopted.push({ path, digest: entry.digest });
    } else if (entry !== undefined) others.push(path);
  }
  const aside = ops.displaced.flatMap(({ op, path, before, isLate }) =>
    "digest" in before ? [{ path: `${stage}/o/${op}/${path}`, digest: before.digest, isLate }] : [],
  );
  const placed = ops.placed;
  const up = stage.replaceAll(/[^/]+/g, "..");
  return {
    pre: [
      ...staged.map(({ path, content }) => ({ path: `t/${path}`, digest: content.digest })),
      ...ops.files.map(({ path, digest }) => ({ path: `${up}/${path}`, digest })),
    ],
    placed,
    checked: [...placed, ...aside.filter(({ isLate }) => !isLate)],
    removed: aside.filter(({ isLate }) => isLate),
    adopted,
    others,
  };
}

/** What `hash_of` of the dialect gives for these files; "" for none. */
export function digestOfLines(files: readonly Hashed[], order: "sorted" | "as given", dialect: Dialect): string {
  if (files.length === 0) return "";
  const hash = createHash("sha256");
  const ordered = order === "sorted" ? files.toSorted((one, other) => comparePaths(one.path, other.path)) : files;
  for (const { path, digest } of ordered) hash.update(dialect.digestLine(hexOf(digest), path));
  return hash.digest("hex");
}

function textEntry(name: string, text: string): ArchiveEntry {
  return bytesEntry(name, text === "" ? "" : `${text}\n`);
}

/** Paths as data: each ends in NUL. */
function listEntry(name: string, paths: readonly string[]): ArchiveEntry {
  return bytesEntry(name, paths.map((path) => `./${path}\0`).join(""));
}

function bytesEntry(name: string, text: string): ArchiveEntry {
  const bytes = Buffer.from(text);
  return {
    kind: "file",
    name,
    mode: 0o600,
    sizeBytes: bytes.byteLength,
    async *open() {
      yield bytes;
    },
  };
}
