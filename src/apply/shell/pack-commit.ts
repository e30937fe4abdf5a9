import { createHash } from "node:crypto";
import { TransportError } from "../../errors.ts";
import type { Base } from "../../state/base.ts";
import { formatBaseHeader, formatBaseLine } from "../../state/base.ts";
import { quoteForShell } from "../../transport/shell-quote.ts";
import type { Content } from "../../tree/content.ts";
import type { Digest } from "../../tree/digest.ts";
import type { WorkspacePath } from "../../tree/workspace-path.ts";
import { comparePaths } from "../../tree/workspace-path.ts";
import type { CommitRequest } from "../engine.ts";
import type { Archive, ArchiveEntry } from "./archive.ts";
import { packArchive } from "./archive.ts";
import type { CommitOps } from "./commit-ops.ts";
import { OWNER_ALL } from "./commit-ops.ts";

/** Larger files that occur twice are copied in the session. */
const COPY_FROM_BYTES = 4096;

export type StagedFile = { readonly path: WorkspacePath; readonly mode: number; readonly content: Content };
export type Touched = {
  readonly files: readonly { path: WorkspacePath; digest: string }[];
  readonly others: readonly WorkspacePath[];
};
export type PackParts = {
  readonly base: Base;
  readonly next: Base;
  readonly changes: readonly { readonly path: WorkspacePath }[];
  readonly ops: CommitOps;
  readonly touched: Touched;
  readonly staged: readonly StagedFile[];
  readonly isFresh: boolean;
};
/** Packs contents, lists and lines of work into one archive (what is in it: commit-script.ts). */
export async function packCommit(request: CommitRequest, parts: PackParts): Promise<Archive> {
  const { base, next, changes, ops, touched, staged, isFresh } = parts;
  const first = new Map<Digest, StagedFile>();
  const dups: StagedFile[] = [];
  const entries: ArchiveEntry[] = stagedDirectories(request);
  for (const file of staged) {
    const original = first.get(file.content.digest);
    first.set(file.content.digest, original ?? file);
    // A small file twice in the archive costs less than a process that copies it.
    if (original !== undefined && file.content.sizeBytes > COPY_FROM_BYTES) dups.push(file);
    else
      entries.push({
        kind: "file",
        name: `t/${file.path}`,
        mode: file.mode | 0o200,
        sizeBytes: file.content.sizeBytes,
        open: () => file.content.open(),
      });
  }
  const copies = dups.map(({ path, mode, content }) => {
    const original = first.get(content.digest)?.path ?? path;
    const to = quoteForShell(`t/${path}`);
    return `cp ${quoteForShell(`t/${original}`)} ${to} && chmod ${(mode | 0o200).toString(8)} ${to}`;
  });
  const closing = staged.flatMap(({ path, mode }) =>
    (mode & 0o200) === 0 ? [`chmod ${mode.toString(8)} ${quoteForShell(`t/${path}`)}`] : [],
  );
  const removed = changes.flatMap(({ path }) => {
    const entry = base.entries.get(path);
    return entry === undefined ? [] : [formatBaseLine(path, entry)];
  });
  const added = [...new Set(changes.map(({ path }) => path))].flatMap((path) => {
    const entry = next.entries.get(path);
    return entry === undefined ? [] : [formatBaseLine(path, entry)];
  });
  const freshBase = [
    formatBaseHeader(next),
    ...[...next.entries]
      .toSorted(([one], [other]) => comparePaths(one, other))
      .map(([path, entry]) => formatBaseLine(path, entry)),
  ];
  entries.push(
    textEntry("dups", [...copies, ...closing].join("\n")),
    textEntry("ops", ops.ops.map(({ line }) => line).join("\n")),
  );
  if (isFresh)
    entries.push(
      { kind: "directory", name: "t/.agb-sync", mode: 0o700 },
      textEntry("t/.agb-sync/base.json", freshBase.join("\n")),
    );
  else {
    const checks = [
      ...ops.absent.map((path) => `A ${quoteForShell(path)}`),
      ...ops.links.map(({ path, target }) => `K ${quoteForShell(path)} ${quoteForShell(target)}`),
    ];
    entries.push(
      textEntry("checks", checks.join("\n")),
      listEntry(
        "pre",
        ops.files.map(({ path }) => path),
      ),
      listEntry(
        "files",
        touched.files.map(({ path }) => path),
      ),
      listEntry("others", touched.others),
      textEntry("base-removed", removed.join("\n")),
      textEntry("base-added", added.join("\n")),
    );
  }
  const totalBytes = staged.reduce((sum, { content }) => sum + content.sizeBytes, 0);
  let doneBytes = 0;
  return await packArchive(entries, (bytes) => {
    doneBytes += bytes;
    request.onBytes(Math.min(doneBytes, totalBytes), totalBytes);
  });
}

/** On a fresh root directories and files come out of the archive; links are made, and modes closed, before it goes live. */
export function freshSteps(request: CommitRequest): CommitRequest["steps"] {
  return request.steps.flatMap(({ step }): CommitRequest["steps"] => {
    if (step.op === "create-link") return [{ step, after: [] }];
    if (step.op !== "create-directory" || (step.mode & OWNER_ALL) === OWNER_ALL) return [];
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

/** What base records anew: files, with the digests they must have, and everything else. */
export function touchedBy(paths: readonly WorkspacePath[], next: Base): Touched {
  const files: { path: WorkspacePath; digest: string }[] = [];
  const others: WorkspacePath[] = [];
  for (const path of new Set(paths)) {
    const entry = next.entries.get(path)?.entry;
    if (entry?.kind === "file" && entry.digest !== undefined) files.push({ path, digest: entry.digest });
    else if (entry !== undefined) others.push(path);
  }
  return { files, others };
}

/** The digest of what `sha256sum -z` prints for these files; "" for none. */
export function digestOfLines(
  files: readonly { readonly path: string; readonly digest: string }[],
  order: "sorted" | "as given",
): string {
  if (files.length === 0) return "";
  const hash = createHash("sha256");
  const ordered = order === "sorted" ? files.toSorted((one, other) => comparePaths(one.path, other.path)) : files;
  for (const { path, digest } of ordered) hash.update(`${digest.slice("sha256:".length)}  ./${path}\0`);
  return hash.digest("hex");
}

function textEntry(name: string, text: string): ArchiveEntry {
  return bytesEntry(name, text === "" ? "" : `${text}\n`);
}

/** Paths as data: each ends in NUL. */
function listEntry(name: string, paths: readonly WorkspacePath[]): ArchiveEntry {
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
