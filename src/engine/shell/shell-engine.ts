import { randomUUID } from "node:crypto";
import { hasCode, TransportError } from "../../errors.ts";
import { targetOf } from "../../plan/order-steps.ts";
import { readBase, storedBase, writeBase } from "../../state/base-store.ts";
import { oursBy, parseJournal, recover } from "../../state/journal.ts";
import { waitUntilFree } from "../../state/lock.ts";
import { asideWarning, oddWarnings } from "../../state/state-file.ts";
import { askInBackground } from "../../transport/ask-in-background.ts";
import { NO_SPACE_HINT, runMarked, shellOf, withoutShell } from "../../transport/run-marked.ts";
import type { Transport } from "../../transport/transport.ts";
import type { Base } from "../../tree/base.ts";
import { changeBase, emptyBase } from "../../tree/base.ts";
import type { Digest } from "../../tree/digest.ts";
import type { Entry } from "../../tree/entry.ts";
import { printable } from "../../tree/printable.ts";
import type { WorkspacePath } from "../../tree/workspace-path.ts";
import { ancestorsOf, isStatePath, statePath } from "../../tree/workspace-path.ts";
import { changesOf } from "../base-changes.ts";
import type { CommitRequest, CommitResult, Engine, ScanRequest, ScanResult, StepResult } from "../engine.ts";
import { prunesOf } from "../find-records.ts";
import type { CommitOps } from "./commit-ops.ts";
import { type Dialect, dialectOf } from "./dialect.ts";
import type { Report } from "./parse-report.ts";
import { parseScan, type ScanAnswer } from "./parse-scan.ts";
import { scanScript } from "./scan-script.ts";
import { commitByShell, noSpace, type ShellCommitOutcome } from "./shell-commit.ts";

const SCAN_TIMEOUT_MS = 48_000;
/** How often a listing that was not whole is asked for before it counts as not permitted. */
const SCAN_LOOKS = 4;
/** Changed files are hashed with the scan while they are no more than this; base without an index may cost more. */
const HASH_CHANGED_BYTES = 16 * 1024 * 1024;
const HASH_ALL_BYTES = 512 * 1024 * 1024;

/**
 * Reads and changes a workspace through the shell, in batches: one command scans, one archive carries all contents,
 * one command commits. The number of round trips does not grow with the number of files.
 */
export class ShellEngine implements Engine {
  readonly strategy = "batch";
  readonly #transport: Transport;
  readonly #openAt: (root: string) => Transport;
  /** Base as last seen or written, so that a commit can send the difference only. */
  #base: Base | undefined;
  #unusableBaseSha256 = "";
  #answersAreCut = false;
  #mayUpload = true;

  /** `openAt` gives calls for another directory of the session: a fresh root is staged beside its place. */
  constructor(transport: Transport, openAt: (root: string) => Transport) {
    this.#transport = transport;
    this.#openAt = openAt;
  }

  /** @throws {TransportError} `NOT_POSSIBLE_HERE` where the session lacks a shell or the usual programs. */
  async scan(request: ScanRequest, signal: AbortSignal): Promise<ScanResult> {
    return await this.#unlessGone(async () => await this.#scan(request, signal), signal);
  }

  async commit(request: CommitRequest, signal: AbortSignal): Promise<CommitResult> {
    return await this.#unlessGone(async () => await this.#commit(request, signal), signal);
  }

  async #scan(request: ScanRequest, signal: AbortSignal): Promise<ScanResult> {
    const programs = await this.#programs(signal);
    const { prunes, isWhole } = prunesOf(request.ignorePatterns);
    const hashUpToBytes = request.checksum ? HASH_ALL_BYTES : HASH_CHANGED_BYTES;
    const script = scanScript({
      ...programs,
      root: this.#transport.root,
      sessionId: this.#transport.sessionId,
      prunes,
      expected: request.expected,
      needsUnmanaged: request.needsUnmanaged,
      hashUpToBytes: isWhole ? hashUpToBytes : 0,
      checksum: request.checksum,
    });
    const answer = await this.#scanOnce(script, signal);
    switch (answer.kind) {
      case "same":
        return { kind: "unchanged", base: undefined };
      case "notdir":
        throw new TransportError("NOT_A_DIRECTORY", `the root ${this.#transport.root} is not a directory`);
      case "missing":
        this.#base = emptyBase(this.#transport.sessionId, this.#transport.root);
        return { kind: "tree", rootExists: false, actual: new Map(), base: undefined, recovered: [], warnings: [] };
      case "tree":
        return await this.#treeOf(answer, request, signal);
    }
  }

  /** Where something vanishes while it is listed, `find` fails as it does for what it may not read: it is asked again. */
  async #scanOnce(script: string, signal: AbortSignal): Promise<ScanAnswer> {
    for (let look = 1; ; look += 1) {
      try {
        return await parseScan(await this.#ask(script, "scan the workspace", signal));
      } catch (error) {
        if (!hasCode(error, "PERMISSION_DENIED") || look === SCAN_LOOKS) throw error;
      }
    }
  }

  async #commit(request: CommitRequest, signal: AbortSignal): Promise<CommitResult> {
    const programs = await this.#programs(signal);
    const base = await this.#baseFor(request, signal);
    const input = {
      ...programs,
      transport: this.#transport,
      openAt: this.#openAt,
      request,
      base,
      unusableBaseSha256: this.#unusableBaseSha256,
    };
    try {
      const outcome = await commitByShell({ ...input, mayUpload: this.#mayUpload }, signal);
      return await this.#conclude(outcome, request, base, signal);
    } catch (error) {
      if (!hasCode(error, "NOT_POSSIBLE_HERE") || !this.#mayUpload) throw error;
      // What cannot be uploaded goes in parts, now and later: nothing was changed so far.
      this.#mayUpload = false;
      return await this.#commit({ ...request, applyId: randomUUID() }, signal);
    }
  }

  /** A session that ends while a command runs in it leaves behind any failure: it is asked whether it is still there. */
  async #unlessGone<T>(work: () => Promise<T>, signal: AbortSignal): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (!signal.aborted && hasCode(error, ...openFailures)) {
        const answer = shellOf(this.#transport)({ command: ":", timeoutMs: 5000, repeatable: true }, signal);
        await answer.catch((reason: unknown) => {
          if (hasCode(reason, "SESSION_GONE")) throw reason;
        });
      }
      throw error;
    }
  }

  async #treeOf(
    answer: Extract<ScanAnswer, { kind: "tree" }>,
    request: ScanRequest,
    signal: AbortSignal,
  ): Promise<ScanResult> {
    const { sessionId, root } = this.#transport;
    const warnings: string[] = [];
    const { base, fault } = storedBase(answer.baseText, this.#transport);
    const journal = parseJournal(answer.journalText, this.#transport);
    const isOurs = oursBy(base, journal);
    const oddities = answer.odd.map((name) => [statePath(name), { odd: "is no file of a sane size" }] as const);
    warnings.push(...oddWarnings(...oddities));
    if (fault !== undefined) warnings.push(`the stored base ${fault} and is not used`);
    this.#unusableBaseSha256 = base === undefined ? answer.baseSha256 : "";
    if (answer.unnameable > 0)
      warnings.push(`${answer.unnameable} names in the session are not valid text and are left alone`);
    const actual = new Map<WorkspacePath, Entry>();
    const held = new Set(answer.leftOut.flatMap((path) => ancestorsOf(path)));
    const missing: WorkspacePath[] = [];
    for (const [path, { entry, isIndexed }] of answer.found) {
      if (isStatePath(path)) continue;
      if (request.isIgnored(path, entry.kind === "directory")) {
        for (const ancestor of ancestorsOf(path)) held.add(ancestor);
        continue;
      }
      const known = base?.entries.get(path)?.entry;
      const digest =
        isIndexed && known?.kind === "file" && entry.kind === "file" && known.sizeBytes === entry.sizeBytes
          ? known.digest
          : answer.digests.get(path);
      actual.set(path, entry.kind === "file" && digest !== undefined ? { ...entry, digest } : entry);
      const isWanted = isOurs(path) || (entry.kind === "file" && request.wanted.get(path) === entry.sizeBytes);
      if (entry.kind === "file" && digest === undefined && isWanted) missing.push(path);
    }
    const late =
      missing.length === 0 ? new Map<WorkspacePath, Digest>() : await this.#transport.digestFiles(missing, signal);
    for (const [path, digest] of late) {
      const entry = actual.get(path);
      if (entry?.kind === "file") actual.set(path, { ...entry, digest });
    }
    this.#base = base ?? emptyBase(sessionId, root);
    return {
      kind: "tree",
      rootExists: true,
      actual,
      ...recover(base, journal, actual, this.#transport),
      isBaseLost: fault !== undefined,
      held,
      warnings,
    };
  }

  /** How to speak to the session's programs. */
  async #programs(signal: AbortSignal): Promise<{ readonly dialect: Dialect; readonly compresses: boolean }> {
    const { probe } = await this.#transport.features(signal);
    if (probe?.shell !== true) throw withoutShell();
    const dialect = dialectOf(probe);
    if ("lacks" in dialect) {
      throw new TransportError("NOT_POSSIBLE_HERE", `the session lacks ${dialect.lacks.join(", ")}`);
    }
    return { dialect, compresses: probe.commands.has("gzip") };
  }

  /**
   * One marked command. An answer that the session cuts off, or that takes too long, is made in the background and
   * fetched in pages (S11, S39).
   */
  async #ask(command: string, what: string, signal: AbortSignal): Promise<string> {
    const shell = shellOf(this.#transport);
    if (!this.#answersAreCut) {
      try {
        return await runMarked(shell, { command, timeoutMs: SCAN_TIMEOUT_MS, repeatable: true }, what, signal);
      } catch (error) {
        if (!hasCode(error, "BAD_ANSWER", "TIMEOUT")) throw error;
        this.#answersAreCut = hasCode(error, "BAD_ANSWER");
      }
    }
    return await askInBackground(shell, command, what, signal);
  }

  async #baseFor(request: CommitRequest, signal: AbortSignal): Promise<Base> {
    if (this.#base !== undefined && this.#base.generation === request.baseGeneration) return this.#base;
    const { base } = await readBase(this.#transport, signal);
    const found = base ?? emptyBase(this.#transport.sessionId, this.#transport.root);
    if (found.generation !== request.baseGeneration) throw stale();
    return found;
  }

  async #conclude(
    { report, ops, next, wasStopped }: ShellCommitOutcome,
    request: CommitRequest,
    base: Base,
    signal: AbortSignal,
  ): Promise<CommitResult> {
    const isStopped = report.status === "stopped";
    const results = request.steps.map(
      (): StepResult => (isStopped ? { status: "skipped", reason: "interrupted" } : { status: "applied" }),
    );
    const backupPath = report.backup === undefined ? undefined : statePath("backup", report.backup);
    const warnings = report.aside.map((name) => asideWarning(statePath(name)));
    const tell = () => results.forEach((result, index) => request.onStep(index, result));
    switch (report.status) {
      case "done":
        this.#base = next;
        this.#unusableBaseSha256 = "";
        tell();
        return { results, verified: true, backupPath, warnings };
      case "stale":
        throw stale();
      case "locked": {
        const timeoutMs = await waitUntilFree(this.#transport, request.lock.timeoutMs, signal);
        const again = { ...request, applyId: randomUUID(), lock: { ...request.lock, timeoutMs } };
        return await this.#commit(again, signal);
      }
      case "stopped":
        tell();
        return { results, verified: false, backupPath: undefined };
      case "partial": {
        for (const fault of report.faults) settle(results, ops, fault, request);
        await this.#recordPart(request, results, base);
        if (results.every(({ status }) => status === "applied")) throw failedInSession(report);
        // Somebody else's change came in between: what is done is recorded, the rest is planned anew.
        const isOvertaken = report.faults.every(({ code }) => overtaken.has(code));
        if (isOvertaken && !wasStopped) throw stale();
        tell();
        return { results, verified: false, backupPath };
      }
      case "damaged":
        if (isNoSpace(report.faults[0]?.text)) throw noSpace();
        throw new TransportError(
          "VERIFY_FAILED",
          "the session did not keep the bytes it was sent; nothing was changed",
          { hint: "apply again; if it happens again, look at the free space of the session" },
        );
      case "undelivered":
      case "failed":
      case "died":
      case "running":
        throw failedInSession(report);
    }
  }

  /** After a commit that was not whole base is written from here, and the lock that it left is released. */
  async #recordPart(request: CommitRequest, results: readonly StepResult[], base: Base): Promise<void> {
    const changed = changeBase(base, changesOf(request, results, base), request.headerAfter(results));
    const late = AbortSignal.timeout(60_000);
    await writeBase(this.#transport, changed, late);
    await this.#transport.deleteFile(statePath("locks", `${request.applyId}.json`), late);
    this.#base = changed;
    this.#unusableBaseSha256 = "";
  }
}

/** Failures that a session may leave behind that has ended. */
const openFailures = [
  "TOOL_FAILED",
  "BAD_ANSWER",
  "NOT_FOUND",
  "NOT_A_DIRECTORY",
  "PERMISSION_DENIED",
  "VERIFY_FAILED",
] as const;

/** Faults that another's change explains. */
const overtaken: ReadonlySet<string> = new Set(["appeared", "changed", "skipped"]);

function isNoSpace(text = ""): boolean {
  return /no space left|disk quota/i.test(text);
}

function failedInSession(report: Report): TransportError {
  const reason = report.faults[0]?.text ?? "";
  const code = isNoSpace(reason) ? "NO_SPACE" : "TOOL_FAILED";
  return new TransportError(code, `the commit failed in the session: ${printable(reason) || report.status}`, {
    hint: code === "NO_SPACE" ? NO_SPACE_HINT : "apply again: it goes on from what is there",
  });
}

function settle(results: StepResult[], ops: CommitOps, fault: Report["faults"][number], request: CommitRequest): void {
  const op = ops.ops[fault.op];
  if (op === undefined) return;
  const indexes = fault.position === "all" ? op.steps : op.steps.slice(fault.position, fault.position + 1);
  for (const index of indexes) {
    if (fault.code === "skipped") {
      results[index] = { status: "skipped", reason: fault.text || "a step it waits for was not done" };
      continue;
    }
    const step = request.steps[index]?.step;
    const path = step === undefined ? "" : targetOf(step);
    const message =
      fault.code === "failed" ? fault.text : `${fault.code} in the session while this apply was under way`;
    const code = /permission denied|not permitted/i.test(fault.text)
      ? "PERMISSION_DENIED"
      : isNoSpace(fault.text)
        ? "NO_SPACE"
        : fault.code === "outside"
          ? "OUTSIDE_ROOT"
          : "TOOL_FAILED";
    results[index] = { status: "failed", error: new TransportError(code, `${printable(path)}: ${printable(message)}`) };
  }
}

function stale(): TransportError {
  return new TransportError("STALE_PLAN", "the workspace changed since this plan was made", { hint: "plan again" });
}
