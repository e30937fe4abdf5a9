import pLimit from "p-limit";
import { hasCode, TransportError } from "../../errors.ts";
import { readLatestBase } from "../../state/base-store.ts";
import { oursBy, readJournal, recover } from "../../state/journal.ts";
import type { Child, Transport } from "../../transport/transport.ts";
import type { Entry, FileEntry } from "../../tree/entry.ts";
import { printable } from "../../tree/printable.ts";
import type { WorkspacePath } from "../../tree/workspace-path.ts";
import { ancestorsOf, childPath, isStatePath, parentPath, ROOT } from "../../tree/workspace-path.ts";
import type { ScanRequest, ScanResult } from "../engine.ts";

/**
 * Finds out what the session holds with file calls alone: one listing a directory, then looks and digests for what is
 * declared or ours. A listing that fails stops the scan: a failed listing is never an empty one (S11).
 */
export async function scanByListing(
  transport: Transport,
  request: ScanRequest,
  concurrency: number,
  signal: AbortSignal,
): Promise<ScanResult> {
  const limit = pLimit(concurrency);
  const [{ base, fault }, journal] = await Promise.all([
    readLatestBase(transport, signal),
    readJournal(transport, signal),
  ]);
  const warnings = fault === undefined ? [] : [`the stored base ${fault} and is not used`];
  // After base: what another apply puts there meanwhile is then newer than base, and its plan stale, not a listing cut short.
  const top = await listRoot(transport, signal);
  if (top === undefined) return { kind: "tree", rootExists: false, actual: new Map(), base, recovered: [], warnings };

  const actual = new Map<WorkspacePath, Entry>();
  const held = new Set<WorkspacePath>();
  const isOurs = oursBy(base, journal);
  const concerns = (path: WorkspacePath) => request.wanted.has(path) || isOurs(path);

  /** What is not looked at is there all the same: the directories above it are not empty. */
  const leaveOut = (path: WorkspacePath) => {
    for (const ancestor of ancestorsOf(path)) held.add(ancestor);
  };

  const visit = async (directory: WorkspacePath, children: readonly Child[]): Promise<void> => {
    await Promise.all(
      children.map(async (child) => {
        const path = childPath(directory, child.name);
        if (isStatePath(path)) return;
        if (request.isIgnored(path, child.kind === "directory")) {
          leaveOut(path);
          return;
        }
        if (!isOrdinaryName(child.name)) {
          leaveOut(path);
          warnings.push(`a name in ${directory || transport.root} cannot be told apart: ${printable(child.name)}`);
          return;
        }
        const needsLook =
          child.kind === "unknown" || concerns(path) || (request.needsUnmanaged && child.kind !== "directory");
        const seen = needsLook ? await limit(() => transport.stat(path, signal)) : entryOf(child.kind);
        const isLeftOut =
          seen === undefined ? child.name.includes("\ufffd") : request.isIgnored(path, seen.kind === "directory");
        if (isLeftOut) leaveOut(path);
        if (seen === undefined || isLeftOut) return;
        actual.set(path, seen);
        if (seen.kind === "directory") {
          await visit(path, await limit(() => listOrGone(transport, path, signal)));
        }
      }),
    );
  };
  await visit(ROOT, top);
  await confirmAbsent(transport, [...(base?.entries.keys() ?? [])], actual, request, limit, signal);
  await addDigests(transport, actual, concerns, signal);
  const found = recover(base, journal, actual, transport);
  return { kind: "tree", rootExists: true, actual, ...found, isBaseLost: fault !== undefined, held, warnings };
}

/** Undefined when the root is not there yet. */
async function listRoot(transport: Transport, signal: AbortSignal): Promise<readonly Child[] | undefined> {
  try {
    return await transport.listDirectory(ROOT, signal);
  } catch (error) {
    if (hasCode(error, "NOT_FOUND")) return undefined;
    throw error;
  }
}

/** A directory that vanished between its parent's listing and its own holds nothing any more. */
async function listOrGone(transport: Transport, path: WorkspacePath, signal: AbortSignal): Promise<readonly Child[]> {
  try {
    return await transport.listDirectory(path, signal);
  } catch (error) {
    if (hasCode(error, "NOT_FOUND")) return [];
    throw error;
  }
}

/**
 * A plain listing has neither a count nor an end marker: what base knows and no listing showed is looked for by name,
 * so that a listing that was cut short is not taken for files that are gone (S11).
 */
async function confirmAbsent(
  transport: Transport,
  known: readonly WorkspacePath[],
  actual: ReadonlyMap<WorkspacePath, Entry>,
  request: ScanRequest,
  limit: ReturnType<typeof pLimit>,
  signal: AbortSignal,
): Promise<void> {
  const missing = known.filter((path) => {
    const parent = parentPath(path);
    const isParentThere = parent === ROOT || actual.get(parent)?.kind === "directory";
    return isParentThere && !actual.has(path) && !request.isIgnored(path, false) && !request.isIgnored(path, true);
  });
  await Promise.all(
    missing.map(async (path) => {
      const entry = await limit(() => transport.stat(path, signal));
      if (entry === undefined) return;
      throw new TransportError("BAD_ANSWER", `a listing did not show ${printable(path)}, which is there`, {
        hint: "apply again; nothing was changed",
      });
    }),
  );
}

async function addDigests(
  transport: Transport,
  actual: Map<WorkspacePath, Entry>,
  concerns: (path: WorkspacePath) => boolean,
  signal: AbortSignal,
): Promise<void> {
  const files = [...actual].flatMap(([path, entry]) =>
    entry.kind === "file" && concerns(path) ? [{ path, entry }] : [],
  );
  const digests = await transport.digestFiles(
    files.map(({ path }) => path),
    signal,
  );
  for (const { path, entry } of files) {
    const digest = digests.get(path);
    if (digest === undefined) continue;
    const hashed: FileEntry = { ...entry, digest };
    actual.set(path, hashed);
  }
}

/** What a listing alone tells of a child: its kind. */
function entryOf(kind: Child["kind"]): Entry {
  return kind === "directory" || kind === "link" || kind === "special" ? { kind } : { kind: "file", sizeBytes: 0 };
}

/** One component as a listing may show it; anything else could forge a path (protocol §13, trap 6). */
function isOrdinaryName(name: string): boolean {
  return name !== "" && name !== "." && name !== ".." && !name.includes("/") && !name.includes("\0");
}
