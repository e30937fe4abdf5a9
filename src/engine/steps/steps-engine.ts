import { TransportError } from "../../errors.ts";
import { BackupNumbers } from "../../state/backup-names.ts";
import { pruneBackups } from "../../state/backups.ts";
import { readLatestBase, writeBase } from "../../state/base-store.ts";
import { readJournal, removeJournal, writeJournal } from "../../state/journal.ts";
import { acquireLock } from "../../state/lock.ts";
import { rescueLeftovers } from "../../state/stage.ts";
import { hideFromGit, takeWarnings } from "../../state/state-file.ts";
import type { Transport } from "../../transport/transport.ts";
import { BASE_PATH, changeBase, emptyBase } from "../../tree/base.ts";
import type { WorkspacePath } from "../../tree/workspace-path.ts";
import { ROOT } from "../../tree/workspace-path.ts";
import { changesOf, intendedBase, intendedChanges } from "../base-changes.ts";
import type { CommitRequest, CommitResult, Engine, ScanRequest, ScanResult } from "../engine.ts";
import { scanByListing } from "./scan-by-listing.ts";
import { StepRun } from "./step-run.ts";

/** Reads and changes a workspace with file calls alone, many at a time: works in every session. */
export class StepsEngine implements Engine {
  readonly strategy = "steps";
  readonly #transport: Transport;
  readonly #concurrency: number;

  constructor(transport: Transport, concurrency: number) {
    this.#transport = transport;
    this.#concurrency = concurrency;
  }

  async scan(request: ScanRequest, signal: AbortSignal): Promise<ScanResult> {
    return await scanByListing(this.#transport, request, this.#concurrency, signal);
  }

  /** See `commitBySteps`. */
  async commit(request: CommitRequest, signal: AbortSignal): Promise<CommitResult> {
    return await commitBySteps(this.#transport, request, { concurrency: this.#concurrency }, signal);
  }
}

/** How steps are carried out. */
export type StepsOptions = {
  readonly concurrency: number;
  /** Removes the stage of a run that was cut off, in which nothing waits that was in the workspace before. */
  readonly discard?: (stage: WorkspacePath) => Promise<void>;
};

/**
 * New bytes are staged below the state directory and read back before the first of them is moved into place. What was
 * applied is recorded in base even when a step failed or the signal stopped the run.
 * @throws {TransportError} `LOCKED`, `STALE_PLAN`, or whatever made the session unusable.
 */
export async function commitBySteps(
  transport: Transport,
  request: CommitRequest,
  { concurrency, discard }: StepsOptions,
  signal: AbortSignal,
): Promise<CommitResult> {
  await transport.createDirectory(ROOT, undefined, signal);
  const lock = await acquireLock(transport, request.lock, signal);
  try {
    const [{ base: stored, staged }, journal] = await Promise.all([
      readLatestBase(transport, signal),
      readJournal(transport, signal),
    ]);
    if ((stored?.generation ?? 0) !== request.baseGeneration) {
      throw new TransportError("STALE_PLAN", "another apply changed the workspace since this plan was made", {
        hint: "plan again",
      });
    }
    if (staged !== undefined) await transport.move(staged, BASE_PATH, { replace: false }, signal);
    if (stored === undefined || transport.kind === "embedded") await hideFromGit(transport, signal);
    const numbers = new BackupNumbers(transport);
    await rescueLeftovers(transport, numbers, discard, signal);
    const base = stored ?? emptyBase(transport.sessionId, transport.root);
    const intended = request.steps.length === 0 ? [] : intendedChanges(request, base);
    const next = intendedBase(request, base, intended);
    const noted = intended.length === 0 ? undefined : writeJournal(transport, next, intended, journal, signal);
    const run = new StepRun(transport, request, { concurrency, noted, numbers }, signal);
    const results = await run.finish();
    const isComplete = results.every((result) => result.status === "applied");
    const changes = changesOf(request, results, base);
    // What was done must be recorded also when the run was stopped: a fresh signal, as the old one is aborted.
    await writeBase(transport, changeBase(base, changes, request.headerAfter(results)), AbortSignal.timeout(60_000));
    if (noted !== undefined || journal.records.length > 0) await removeJournal(transport);
    const backupPath = await run.backupPath();
    // With the lock still held: whoever restores holds it too, so that nothing goes that is being read (S42).
    if (backupPath !== undefined && !signal.aborted) {
      await pruneBackups(transport, signal, numbers.given?.first, numbers.given?.last).catch((error: unknown) => {
        // The work is done: what could not be removed now is in nobody's way.
        if (!(error instanceof TransportError)) throw error;
      });
    }
    return { results, verified: isComplete, backupPath, warnings: takeWarnings(transport) };
  } finally {
    await lock.release();
  }
}
