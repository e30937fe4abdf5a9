import { systemClock } from "../../clock.ts";
import { hasCode, TransportError } from "../../errors.ts";
import { backupTime } from "../../state/backup-names.ts";
import { ticketStart } from "../../state/lock.ts";
import { sleepOrAbort } from "../../transport/retry-policy.ts";
import { NO_SPACE_HINT, runMarked, shellOf } from "../../transport/run-marked.ts";
import type { Transport } from "../../transport/transport.ts";
import type { Base, BaseChange } from "../../tree/base.ts";
import { formatBaseHeader } from "../../tree/base.ts";
import { intendedBase, intendedChanges } from "../base-changes.ts";
import type { CommitRequest } from "../engine.ts";
import type { Archive } from "./archive.ts";
import type { CommitOps } from "./commit-ops.ts";
import { commitOps } from "./commit-ops.ts";
import { type CommitPlace, clearCommand, commitCommand, enterStage, stageOf, stopCommand } from "./commit-script.ts";
import { type Delivered, deliver, isForUpload } from "./deliver.ts";
import type { Dialect } from "./dialect.ts";
import {
  digestOfLines,
  freshSteps,
  type Lists,
  listsFor,
  packCommit,
  type StagedFile,
  stagedFiles,
} from "./pack-commit.ts";
import { parseReport, type Report } from "./parse-report.ts";

const COMMAND_TIMEOUT_MS = 48_000;
/** A commit of minutes is possible for many gigabytes; one of an hour is stuck. */
const LONGEST_COMMIT_MS = 20 * 60_000;
/** How long a commit that was told to stop is waited for. */
const STOP_MS = 40_000;
/** How long the removal of a stage that nothing was delivered to may take. */
const TIDY_MS = 2000;

/** What a commit is made with and for. */
export type ShellCommitInput = {
  readonly transport: Transport;
  /** Calls for another directory of the session. */
  readonly openAt: (root: string) => Transport;
  readonly request: CommitRequest;
  readonly base: Base;
  readonly dialect: Dialect;
  readonly compresses: boolean;
  /** SHA-256 of a stored base that cannot be used; "" for none. */
  readonly unusableBaseSha256: string;
  /** False once an upload did not arrive. */
  readonly mayUpload: boolean;
};

/** How a commit ended in the session. */
export type ShellCommitOutcome = {
  readonly report: Report;
  readonly ops: CommitOps;
  readonly next: Base;
  /** The signal came while it was under way. */
  readonly wasStopped: boolean;
};

/**
 * Packs a commit, delivers it, and has it carried out in the session.
 * @throws {TransportError} `NOT_POSSIBLE_HERE` when an upload does not arrive: then parts may; nothing was changed.
 */
export async function commitByShell(input: ShellCommitInput, signal: AbortSignal): Promise<ShellCommitOutcome> {
  const commit = new ShellCommit(input);
  return await commit.run(signal);
}

class ShellCommit {
  readonly #input: ShellCommitInput;
  readonly #isFresh: boolean;
  readonly #next: Base;
  readonly #ops: CommitOps;
  readonly #lists: Lists;
  readonly #staged: readonly StagedFile[];
  readonly #changes: readonly BaseChange[];

  constructor(input: ShellCommitInput) {
    const { request, base } = input;
    this.#input = input;
    this.#isFresh = !request.rootExists;
    this.#changes = intendedChanges(request, base);
    this.#next = intendedBase(request, base, this.#changes);
    this.#ops = commitOps(this.#isFresh ? freshSteps(request) : request.steps, request.backup);
    const changed = this.#changes.map(({ path }) => path);
    this.#staged = stagedFiles(request);
    this.#lists = listsFor(this.#ops, this.#staged, changed, this.#next, `.agb-sync/stage/${request.applyId}`);
  }

  get #place(): CommitPlace {
    const { transport, request } = this.#input;
    return { root: transport.root, applyId: request.applyId, isFresh: this.#isFresh };
  }

  async run(signal: AbortSignal): Promise<ShellCommitOutcome> {
    const { transport, mayUpload } = this.#input;
    const isLarge = isForUpload(this.#staged.reduce((sum, { content }) => sum + content.sizeBytes, 0));
    if (mayUpload && isLarge) transport.prepareUpload?.(signal);
    // What does not fit into the command will most likely need the stage: it is made while the archive is packed.
    const stage = isLarge ? this.#makeStage(signal) : undefined;
    stage?.catch(() => undefined);
    const archive = await this.#pack().catch(async (error: unknown) => {
      if (stage !== undefined) await this.#stop(TIDY_MS).catch(() => undefined);
      throw error;
    });
    try {
      const delivery = await this.#deliver(archive, stage, signal).catch(async (error: unknown) => {
        throw (await this.#clearStage()) ? noSpace(error) : error;
      });
      // Made after the commit has removed it, it would be left behind.
      await stage?.catch(() => undefined);
      const command = () => commitCommand({ ...this.#script(archive), delivery: delivery.how });
      const { report, wasStopped } = await this.#carryOut(command, delivery, signal).finally(() => {
        // Nobody waits for the tidying up of the store; closing the session does.
        void delivery.discard();
      });
      const isCut = report.status === "undelivered" || unfinished.has(report.status);
      const isFull = isCut && (await this.#clearStage(delivery));
      if (report.status === "undelivered") throw undelivered();
      if (isFull) throw noSpace();
      return { report, ops: this.#ops, next: this.#next, wasStopped };
    } finally {
      archive.discard();
    }
  }

  async #pack(): Promise<Archive> {
    const { request, base, dialect, compresses } = this.#input;
    return await packCommit(request, {
      dialect,
      compresses,
      base,
      next: this.#next,
      changes: this.#changes,
      ops: this.#ops,
      lists: this.#lists,
      staged: this.#staged,
      isFresh: this.#isFresh,
    });
  }

  async #makeStage(signal: AbortSignal): Promise<void> {
    await this.#ask(enterStage(this.#place), "make the stage", signal);
  }

  /**
   * Removes what was sent and is of no use any more: a disk that it has filled would stay full. What was set aside stays
   * for the next apply, which rescues it. True when the disk is full.
   */
  async #clearStage(delivery?: Delivered): Promise<boolean> {
    const upload = delivery?.how.kind === "upload" ? delivery.how.path : undefined;
    const command = clearCommand(this.#place, upload);
    try {
      return (await this.#ask(command, "clear the stage", AbortSignal.timeout(TIDY_MS))) === "full";
    } catch {
      // The failure that led here is told.
      return false;
    }
  }

  async #deliver(archive: Archive, made: Promise<void> | undefined, signal: AbortSignal): Promise<Delivered> {
    const { transport, openAt, request, mayUpload } = this.#input;
    const makeStage = async () => await (made ?? this.#makeStage(signal));
    const isSensitive =
      request.steps.some(({ step }) => step.op === "write" && step.sensitive) ||
      this.#staged.some(({ content }) => content.sensitive);
    const stage = openAt(stageOf(this.#place));
    return await deliver(transport, archive, { isSensitive, mayUpload, makeStage, stage }, signal);
  }

  #script(archive: Archive) {
    const { transport, request, dialect, compresses, unusableBaseSha256 } = this.#input;
    const { root, sessionId } = transport;
    const staged = this.#staged.map(({ path, content }) => ({ path, digest: content.digest }));
    const over = (files: Parameters<typeof digestOfLines>[0]) => digestOfLines(files, "as given", dialect);
    return {
      dialect,
      isCompressed: compresses,
      ...this.#place,
      archiveSha256: archive.sha256,
      stagedSha256: digestOfLines(staged, "sorted", dialect),
      preSha256: over(this.#lists.pre),
      checkedSha256: over(this.#lists.checked),
      removedSha256: over(this.#lists.removed),
      adoptedSha256: over(this.#lists.adopted),
      baseGeneration: request.baseGeneration,
      baseStart: `${JSON.stringify({ version: 1, sessionId, root }).slice(0, -1)},`,
      unusableBaseSha256,
      baseHeader: formatBaseHeader(this.#next),
      baseCount: this.#next.entries.size,
      ticketStart: ticketStart(request.lock.owner, Date.now()),
      backupTime: backupTime(new Date()),
    };
  }

  /**
   * Sends the command until it has a report that is the end of it: a lost answer or a long run is asked for again. When
   * the signal comes, the work in the session is told to begin no further step, and its report is waited for (S33).
   */
  async #carryOut(
    command: () => string,
    delivery: Delivered,
    signal: AbortSignal,
  ): Promise<{ readonly report: Report; readonly wasStopped: boolean }> {
    const given = new AbortController();
    const either = AbortSignal.any([signal, given.signal]);
    try {
      const report = await Promise.race([this.#untilEnd(command, either), delivery.failure]);
      return { report, wasStopped: false };
    } catch (error) {
      given.abort();
      if (signal.aborted) return { report: await this.#stop(STOP_MS), wasStopped: true };
      if (hasCode(error, "NOT_POSSIBLE_HERE")) {
        await this.#stop(STOP_MS);
        await this.#clearStage(delivery);
      }
      throw error;
    }
  }

  async #untilEnd(command: () => string, signal: AbortSignal): Promise<Report> {
    const startedMs = performance.now();
    for (;;) {
      try {
        const report = parseReport(await this.#ask(command(), "commit", signal));
        if (report.status !== "running") return report;
      } catch (error) {
        // The session says that the command took too long: the work goes on. One that does not answer at all is not asked
        // for ever.
        if (!(error instanceof TransportError) || error.code !== "TIMEOUT" || error.toolText === undefined) throw error;
      }
      if (performance.now() - startedMs > LONGEST_COMMIT_MS) {
        throw new TransportError("TIMEOUT", `the commit ${this.#input.request.applyId} does not come to an end`);
      }
    }
  }

  async #stop(longestMs: number): Promise<Report> {
    const late = AbortSignal.timeout(longestMs);
    for (;;) {
      const command = stopCommand(this.#place);
      const report = parseReport(await this.#ask(command, "stop the commit", late));
      if (report.status !== "running") return report;
      await sleepOrAbort(systemClock, 50, late);
    }
  }

  async #ask(command: string, what: string, signal: AbortSignal): Promise<string> {
    return await runMarked(
      shellOf(this.#input.transport),
      { command, timeoutMs: COMMAND_TIMEOUT_MS, repeatable: true },
      what,
      signal,
    );
  }
}

/** Ends of a commit that leave behind what was delivered. */
const unfinished: ReadonlySet<Report["status"]> = new Set(["damaged", "failed", "died"]);

/** A full disk that was noticed before anything was changed. */
export function noSpace(cause?: unknown): TransportError {
  return new TransportError("NO_SPACE", "no space is left on the disk of the session; nothing was changed", {
    hint: NO_SPACE_HINT,
    cause,
  });
}

function undelivered(): TransportError {
  return new TransportError("NOT_POSSIBLE_HERE", "an upload did not arrive in the session");
}
