import pLimit from "p-limit";
import { AgbSyncError, hasCode, TransportError } from "../errors.ts";
import { targetOf } from "../plan/order-steps.ts";
import type { Conflict, PlannedStep, Step } from "../plan/plan.ts";
import { backupName } from "../state/backups.ts";
import type { Transport } from "../transport/transport.ts";
import type { Entry } from "../tree/entry.ts";
import { sameContent } from "../tree/entry.ts";
import { printable } from "../tree/printable.ts";
import type { WorkspacePath } from "../tree/workspace-path.ts";
import { ancestorsOf, parentPath, ROOT, statePath } from "../tree/workspace-path.ts";
import type { CommitRequest, StepResult } from "./engine.ts";

/** A directory that an owner without write permission cannot change: opened for the run, closed after it. */
const OWNER_ALL = 0o700;

/** One run through the steps of a plan with file calls. Each step ends applied, in conflict, failed or skipped. */
export class StepRun {
  readonly #transport: Transport;
  readonly #request: CommitRequest;
  readonly #signal: AbortSignal;
  readonly #limit: ReturnType<typeof pLimit>;
  readonly #results: (StepResult | undefined)[];
  readonly #stage: WorkspacePath;
  readonly #closedDirectories = new Map<WorkspacePath, number>();
  readonly #backupRoot: WorkspacePath;
  #hasBackup = false;

  constructor(transport: Transport, request: CommitRequest, concurrency: number, signal: AbortSignal) {
    this.#transport = transport;
    this.#request = request;
    this.#signal = signal;
    this.#limit = pLimit(concurrency);
    this.#results = request.steps.map(() => undefined);
    this.#stage = statePath("stage", request.applyId);
    this.#backupRoot = statePath("backup", backupName(new Date(), request.applyId));
  }

  /** Where replaced bytes went; undefined when nothing had to be kept. */
  get backupPath(): string | undefined {
    return this.#hasBackup ? this.#backupRoot : undefined;
  }

  /** Carries everything out and gives one result a step. Throws only when the session itself is lost. */
  async finish(): Promise<readonly StepResult[]> {
    try {
      await this.#stageContents();
      await this.#checkBefore();
      await this.#setAsideHeldMoves();
      const awaited = awaitedBy(this.#request.steps);
      const isDeletion = ({ step }: PlannedStep, index: number) => step.op === "delete" && !awaited.has(index);
      await this.#runAll((planned, index) => !isDeletion(planned, index));
      await this.#verifyPlaces();
      if (this.#results.some((result) => result?.status === "failed"))
        this.#skipRest("a write or move of this run failed");
      await this.#runAll(isDeletion);
      await this.#verifyDeletions();
    } finally {
      await this.#closeDirectories();
      await this.#removeStage();
    }
    return this.#results.map((result) => result ?? { status: "skipped", reason: "the apply was stopped" });
  }

  /** Writes every new content aside and reads its digest back: nothing unverified is ever moved into place. */
  async #stageContents(): Promise<void> {
    const writes = this.#request.steps.flatMap(({ step }, index) => (step.op === "write" ? [{ step, index }] : []));
    const totalBytes = writes.reduce((sum, { step }) => sum + step.sizeBytes, 0);
    let sentBytes = 0;
    await Promise.all(
      writes.map(({ step, index }) =>
        this.#attempt(index, async () => {
          const content = this.#request.contents.get(step.digest);
          if (content === undefined) throw new AgbSyncError("INTERNAL", `no content for ${step.path}`);
          await this.#transport.writeFile(this.#stagePath(index), content, step.mode, this.#signal);
          sentBytes += step.sizeBytes;
          this.#request.onBytes(sentBytes, totalBytes);
        }),
      ),
    );
    const staged = writes.filter(({ index }) => this.#results[index] === undefined);
    const digests = await this.#transport.digestFiles(
      staged.map(({ index }) => this.#stagePath(index)),
      this.#signal,
    );
    for (const { step, index } of staged) {
      if (digests.get(this.#stagePath(index)) === step.digest) continue;
      this.#settle(index, {
        status: "failed",
        error: new TransportError("VERIFY_FAILED", `${step.path}: the session did not keep the bytes it was sent`, {
          hint: "apply again; if it happens again, the session's disk or file tools are at fault",
        }),
      });
    }
  }

  /** What a step replaces, moves or deletes must still be what the plan saw (S20). */
  async #checkBefore(): Promise<void> {
    const expected = this.#request.steps.flatMap(({ step }, index) => {
      if (step.op === "move") return [{ index, path: step.from, before: step.before }];
      const before = step.op === "write" || step.op === "create-link" || step.op === "delete" ? step.before : undefined;
      return before === undefined ? [] : [{ index, path: targetOf(step), before }];
    });
    const files = expected.filter(({ before }) => before.kind === "file" && before.digest !== undefined);
    const digests = await this.#transport.digestFiles(
      files.map(({ path }) => path),
      this.#signal,
    );
    for (const { index, path, before } of files) {
      if (before.kind === "file" && digests.get(path) === before.digest) continue;
      const actual = await this.#limit(() => this.#transport.stat(path, this.#signal));
      const digest = digests.get(path);
      const found = actual?.kind === "file" && digest !== undefined ? { ...actual, digest } : actual;
      this.#settleAsConflict(index, found ?? before, found === undefined ? "vanished" : "changed");
    }
    await Promise.all(
      expected
        .filter(({ before }) => before.kind === "link")
        .map(async ({ index, path, before }) => {
          const actual = await this.#limit(() => this.#transport.stat(path, this.#signal));
          if (!sameContent(actual, before)) this.#settleAsConflict(index, actual ?? before, "changed");
        }),
    );
  }

  async #setAsideHeldMoves(): Promise<void> {
    const work: Promise<void>[] = [];
    this.#request.steps.forEach(({ step }, index) => {
      if (step.op !== "move" || !step.held || this.#results[index] !== undefined) return;
      const setAside = () => this.#move(step.from, this.#stagePath(index), false);
      work.push(this.#attempt(index, () => this.#inWritable(step.from, setAside)));
    });
    await Promise.all(work);
  }

  /** Runs the chosen steps, each as soon as what it waits for is done. */
  async #runAll(isChosen: (planned: PlannedStep, index: number) => boolean): Promise<void> {
    const running = new Map<number, Promise<void>>();
    this.#request.steps.forEach((planned, index) => {
      if (!isChosen(planned, index)) return;
      const waits = planned.after.map((other) => running.get(other) ?? Promise.resolve());
      running.set(
        index,
        Promise.all(waits).then(async () => {
          if (this.#results[index] !== undefined) return;
          const blocker = planned.after.find((other) => this.#results[other]?.status !== "applied");
          if (blocker !== undefined) {
            this.#settle(index, { status: "skipped", reason: "a step it waits for was not done" });
            return;
          }
          await this.#attempt(index, async () => {
            await this.#carryOut(planned.step, index);
            this.#settle(index, { status: "applied" });
          });
        }),
      );
    });
    await Promise.all(running.values());
  }

  /** A session's "success" is no evidence (S34): what was put into place is read back there before anything goes. */
  async #verifyPlaces(): Promise<void> {
    const placed = this.#request.steps.flatMap(({ step }, index) => {
      if (this.#results[index]?.status !== "applied") return [];
      if (step.op === "write") return [{ index, path: step.path, digest: step.digest }];
      const isFile = step.op === "move" && step.before.kind === "file" && step.before.digest !== undefined;
      return isFile ? [{ index, path: step.to, digest: step.before.digest }] : [];
    });
    const digests = await this.#transport.digestFiles(
      placed.map(({ path }) => path),
      this.#signalForTheEnd,
    );
    for (const { index, path, digest } of placed) {
      if (digests.get(path) !== digest) this.#settleAsUnverified(index, `${path} does not hold what was put there`);
    }
  }

  async #verifyDeletions(): Promise<void> {
    const replaced = new Set(this.#request.steps.flatMap(({ step }) => (step.op === "delete" ? [] : [targetOf(step)])));
    await Promise.all(
      this.#request.steps.map(async ({ step }, index) => {
        if (step.op !== "delete" || step.before.kind === "directory" || this.#results[index]?.status !== "applied")
          return;
        // What stands there now, or above it, was put there by this very run.
        if ([step.path, ...ancestorsOf(step.path)].some((path) => replaced.has(path))) return;
        const left = await this.#limit(() => this.#transport.stat(step.path, this.#signalForTheEnd));
        if (left !== undefined) this.#settleAsUnverified(index, `${step.path} is still there`);
      }),
    );
  }

  /** What was done before a stop is still looked at, so that base records what is true. */
  get #signalForTheEnd(): AbortSignal {
    return this.#signal.aborted ? AbortSignal.timeout(30_000) : this.#signal;
  }

  #settleAsUnverified(index: number, what: string): void {
    const hint = "apply again; if it happens again, the session's disk or file tools are at fault";
    this.#settle(index, { status: "failed", error: new TransportError("VERIFY_FAILED", printable(what), { hint }) });
  }

  async #carryOut(step: Step, index: number): Promise<void> {
    const transport = this.#transport;
    switch (step.op) {
      case "create-directory":
        await this.#inWritable(step.path, () =>
          transport.createDirectory(step.path, step.mode | OWNER_ALL, this.#signal),
        );
        if ((step.mode & OWNER_ALL) !== OWNER_ALL) this.#closedDirectories.set(step.path, step.mode);
        return;
      case "write":
        if (step.backup && step.before !== undefined) await this.#backUp(step.path);
        await this.#inWritable(step.path, () =>
          this.#move(this.#stagePath(index), step.path, step.before !== undefined && !step.backup),
        );
        return;
      case "create-link":
        if (step.backup && step.before !== undefined) await this.#backUp(step.path);
        else if (step.before !== undefined)
          await this.#inWritable(step.path, () => transport.deleteFile(step.path, this.#signal));
        await this.#inWritable(step.path, () => transport.createLink(step.path, step.target, this.#signal));
        return;
      case "move":
        await this.#inWritable(step.from, () =>
          this.#inWritable(step.to, async () => {
            const from = step.held ? this.#stagePath(index) : step.from;
            const parent = parentPath(step.to);
            if (parent !== ROOT) await transport.createDirectory(parent, undefined, this.#signal);
            await this.#move(from, step.to, false);
          }),
        );
        return;
      case "set-mode":
        this.#closedDirectories.delete(step.path);
        await transport.setMode(step.path, step.mode, this.#signal);
        return;
      case "delete":
        await this.#inWritable(step.path, () => this.#remove(step));
        return;
    }
  }

  async #remove(step: Extract<Step, { op: "delete" }>): Promise<void> {
    if (step.before.kind !== "directory") {
      if (step.backup && this.#request.backup) await this.#backUp(step.path);
      else await this.#transport.deleteFile(step.path, this.#signal);
      return;
    }
    try {
      await this.#transport.removeDirectory(step.path, this.#signal);
    } catch (error) {
      // Something that is not ours is left in it: it stays, and leaves base (S10).
      if (!hasCode(error, "DIRECTORY_NOT_EMPTY")) throw error;
    }
  }

  async #backUp(path: WorkspacePath): Promise<void> {
    if (!this.#request.backup) {
      await this.#transport.deleteFile(path, this.#signal);
      return;
    }
    this.#hasBackup = true;
    const kept = statePath(...this.#backupRoot.split("/").slice(1), path);
    await this.#transport.createDirectory(parentPath(kept), undefined, this.#signal);
    await this.#inWritable(path, () => this.#move(path, kept, false));
  }

  async #move(from: WorkspacePath, to: WorkspacePath, replace: boolean): Promise<void> {
    await this.#transport.move(from, to, { replace }, this.#signal);
  }

  /** Does `work` below the parent of `path`; a parent without write permission is opened for it and closed at the end. */
  async #inWritable(path: WorkspacePath, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      const parent = parentPath(path);
      if (!hasCode(error, "PERMISSION_DENIED") || parent === ROOT || this.#closedDirectories.has(parent)) throw error;
      const entry = await this.#transport.stat(parent, this.#signal);
      if (entry?.kind !== "directory" || entry.mode === undefined || (entry.mode & OWNER_ALL) === OWNER_ALL)
        throw error;
      this.#closedDirectories.set(parent, entry.mode);
      await this.#transport.setMode(parent, entry.mode | OWNER_ALL, this.#signal);
      await work();
    }
  }

  async #closeDirectories(): Promise<void> {
    const innerFirst = [...this.#closedDirectories].toSorted(([one], [other]) => other.length - one.length);
    for (const [path, mode] of innerFirst) {
      try {
        await this.#transport.setMode(path, mode, AbortSignal.timeout(30_000));
      } catch (error) {
        if (!hasCode(error, "NOT_FOUND", "NOT_POSSIBLE_HERE")) throw error;
      }
    }
  }

  /** Whatever is still staged is worthless now, except a held file whose move in failed: that one is put back. */
  async #removeStage(): Promise<void> {
    const signal = AbortSignal.timeout(60_000);
    await Promise.all(
      this.#request.steps.map(async ({ step }, index) => {
        if (step.op === "move" && step.held && this.#results[index]?.status !== "applied") {
          await this.#limit(() => this.#putBack(this.#stagePath(index), step.from, signal));
        } else if (step.op === "write" && this.#results[index]?.status !== "applied") {
          await this.#limit(() => this.#transport.deleteFile(this.#stagePath(index), signal));
        }
      }),
    );
    try {
      await this.#transport.removeDirectory(this.#stage, signal);
    } catch (error) {
      // Where directories cannot be removed an empty one stays; where something is left in it, that must not be lost.
      if (!hasCode(error, "NOT_POSSIBLE_HERE", "DIRECTORY_NOT_EMPTY")) throw error;
    }
  }

  async #putBack(held: WorkspacePath, from: WorkspacePath, signal: AbortSignal): Promise<void> {
    try {
      await this.#transport.move(held, from, { replace: false }, signal);
    } catch (error) {
      if (!hasCode(error, "NOT_FOUND", "ALREADY_EXISTS")) throw error;
    }
  }

  /** Runs one piece of work for a step; what goes wrong becomes its result, unless the session is lost. */
  async #attempt(index: number, work: () => Promise<void>): Promise<void> {
    try {
      await this.#limit(async () => {
        if (!this.#signal.aborted) await work();
      });
    } catch (error) {
      if (hasCode(error, "SESSION_GONE", "BAD_API_KEY")) throw error;
      if (hasCode(error, "ALREADY_EXISTS")) this.#settleAsConflict(index, { kind: "file", sizeBytes: 0 }, "appeared");
      else if (this.#signal.aborted) this.#settle(index, { status: "skipped", reason: "interrupted" });
      else this.#settle(index, { status: "failed", error: error instanceof Error ? error : new Error(String(error)) });
    }
  }

  #settleAsConflict(index: number, actual: Entry, what: "changed" | "vanished" | "appeared"): void {
    const step = this.#request.steps[index]?.step;
    if (step === undefined) return;
    const conflict: Conflict = {
      path: step.op === "move" ? (what === "appeared" ? step.to : step.from) : step.path,
      standing: what === "appeared" ? "unmanaged" : "drifted",
      desired: undefined,
      actual,
      reason: `${what} in the session while this apply was under way`,
    };
    this.#settle(index, { status: "conflict", conflict });
  }

  #settle(index: number, result: StepResult): void {
    this.#results[index] = result;
    this.#request.onStep(index, result);
  }

  #skipRest(reason: string): void {
    this.#results.forEach((result, index) => {
      if (result === undefined) this.#settle(index, { status: "skipped", reason });
    });
  }

  #stagePath(index: number): WorkspacePath {
    return statePath("stage", this.#request.applyId, String(index));
  }
}

/** Indexes of deletions that make room: something other than a deletion waits for them. */
export function awaitedBy(steps: readonly PlannedStep[]): ReadonlySet<number> {
  const awaited = new Set<number>();
  for (let index = steps.length - 1; index >= 0; index -= 1) {
    const planned = steps[index];
    if (planned === undefined || (planned.step.op === "delete" && !awaited.has(index))) continue;
    for (const other of planned.after) awaited.add(other);
  }
  return awaited;
}
