import { hasCode, TransportError } from "../../errors.ts";
import { acquireLock } from "../../state/lock.ts";
import { hideFromGit } from "../../state/state-file.ts";
import type { EmbeddedTransport } from "../../transport/embedded/embedded-transport.ts";
import type { WorkspacePath } from "../../tree/workspace-path.ts";
import { childPath, ROOT, statePath } from "../../tree/workspace-path.ts";
import type { CommitRequest, CommitResult } from "../engine.ts";
import { buildFresh } from "./build-fresh.ts";
import { flush } from "./flush.ts";
import type { SessionIndex } from "./session-index.ts";
import { writeIndex } from "./session-index.ts";

/** Opens another root of the same session. */
export type OpenRoot = (root: string) => EmbeddedTransport;

/**
 * A root that is not there yet is built beside its place and goes live by one rename (S4). The place is locked while it
 * is built, so that whoever finds it can tell whether its builder still lives.
 * @throws {TransportError} `STALE_PLAN` when the root appeared meanwhile.
 */
export async function commitFresh(
  root: string,
  open: OpenRoot,
  request: CommitRequest,
  index: SessionIndex,
  signal: AbortSignal,
): Promise<CommitResult> {
  const { above, own } = placeOf(root);
  const beside = open(above);
  const sibling = siblingPath(own, request.applyId);
  const building = open(`${above}/${sibling}`);
  await building.createDirectory(ROOT, undefined, signal);
  try {
    await building.createDirectory(statePath(), 0o700, signal);
    await hideFromGit(building, signal);
    const result = await buildLocked(building, root, request, index, signal);
    await beside.move(sibling, own, { replace: false }, signal);
    return result;
  } catch (error) {
    if (!hasCode(error, "ALREADY_EXISTS", "DIRECTORY_NOT_EMPTY")) throw error;
    throw new TransportError("STALE_PLAN", `${root} appeared while it was being built`, { hint: "plan again" });
  } finally {
    await beside.removeAll(sibling);
  }
}

async function buildLocked(
  building: EmbeddedTransport,
  root: string,
  request: CommitRequest,
  index: SessionIndex,
  signal: AbortSignal,
): Promise<CommitResult> {
  const lock = await acquireLock(building, request.lock, signal);
  try {
    const result = await buildFresh(building, request, root, index, signal);
    await writeIndex(building, index);
    await flush(building.rootDirectory);
    return result;
  } finally {
    await lock.release();
  }
}

/** The directory above a root, and the root's own name in it. */
export function placeOf(root: string): { readonly above: string; readonly own: WorkspacePath } {
  const names = root.split("/").filter(Boolean);
  const own = childPath(ROOT, names.pop() ?? "");
  return { above: `/${names.join("/")}`, own };
}

/** Where the apply `applyId` builds a root called `own`, beside it. */
export function siblingPath(own: WorkspacePath, applyId: string): WorkspacePath {
  return childPath(ROOT, `.${own}.agb-sync-${applyId}`);
}
