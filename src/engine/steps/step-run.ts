import pLimit from "p-limit";
import { hasCode, TransportError } from "../../errors.ts";
import { awaitedBy, targetOf } from "../../plan/order-steps.ts";
import type { Conflict, PlannedStep, Step } from "../../plan/plan.ts";
import type { BackupNumbers } from "../../state/backup-names.ts";
import { STEPS_STAGE } from "../../state/stage.ts";
import type { MoveOptions, Transport } from "../../transport/transport.ts";
import type { Entry } from "../../tree/entry.ts";
import { isAsSeen, isClosed, OWNER_ALL } from "../../tree/entry.ts";
import { printable } from "../../tree/printable.ts";
import type { WorkspacePath } from "../../tree/workspace-path.ts";
import { ancestorsOf, childPath, parentPath, ROOT, statePath } from "../../tree/workspace-path.ts";
import type { CommitRequest, StepResult } from "../engine.ts";
import { SetAside } from "./set-aside.ts";
import { StagedContents, type StagedWrite } from "./staged-contents.ts";

/** One run through the steps of a plan with file calls. Each step ends applied, in conflict, failed or skipped. */
export class StepRun {
  readonly #transport: Transport;
  readonly #request: CommitRequest;
  readonly #signal: AbortSignal;
  readonly #limit: ReturnType<typeof pLimit>;
  readonly #results: (StepResult | undefined)[];
  readonly #contents: StagedContents;
  readonly #aside: SetAside;
  readonly #closedDirectories = new Map<WorkspacePath, number>();
  readonly #openings = new Map<WorkspacePath, Promise<boolean>>();
  readonly #held = new Map<number, WorkspacePath>();
  readonly #noted: Promise<void> | undefined;
  readonly #told = new Set<number>();

  /** Nothing is put into place before `noted` is done: what this run is about to do is written down. */
  constructor(
    transport: Transport,
    request: CommitRequest,
    {
      concurrency,
      noted,
      numbers,
    }: { readonly concurrency: number; readonly noted: Promise<void> | undefined; readonly numbers: BackupNumbers },
    signal: AbortSignal,
  ) {
    this.#transport = transport;
    this.#request = request;
    this.#signal = signal;
    this.#noted = noted;
    // It is awaited below, unless something else fails first.
    noted?.catch(() => undefined);
    this.#limit = pLimit(concurrency);
    this.#results = request.steps.map(() => undefined);
    this.#contents = new StagedContents(transport, this.#limit);
    const stage = statePath("stage", `${STEPS_STAGE}${request.applyId}`);
    this.#aside = new SetAside(transport, stage, numbers, this.#limit);
  }

  /** Where replaced bytes went; undefined when nothing had to be kept. To be asked once it has finished. */
  async backupPath(): Promise<WorkspacePath | undefined> {
    return await this.#aside.finishBackup(AbortSignal.timeout(30_000));
  }

  /** Carries everything out and gives one result a step. Throws only when the session itself is lost. */
  async finish(): Promise<readonly StepResult[]> {
    const awaited = awaitedBy(this.#request.steps);
    const isDeletion = ({ step }: PlannedStep, index: number) => step.op === "delete" && !awaited.has(index);
    try {
      await this.#unlessStopped(async () => {
        // Where directories cannot be removed, one is made only when it is needed.
        if ((await this.#transport.features(this.#signal)).removeDirectory) await this.#aside.makeStage(this.#signal);
        await this.#stageContents();
        await this.#noted;
        await this.#checkBefore();
        await this.#setAsideHeldMoves();
        await this.#runAll((planned, index) => !isDeletion(planned, index));
      });
      await this.#verifyPlaces();
      await this.#verifyAside();
      this.#tell(this.#results);
      if (this.#results.some((result) => result?.status === "failed"))
        this.#skipRest("a write or move of this run failed");
      await this.#unlessStopped(() => this.#runAll(isDeletion));
      await this.#verifyDeletions();
      await this.#verifyAside();
    } finally {
      await this.#tidy();
    }
    const results = this.#results.map((result): StepResult => result ?? { status: "skipped", reason: "interrupted" });
    this.#tell(results);
    return results;
  }

  /** Each result once, as soon as nothing can change it any more: an applied step when it is verified. */
  #tell(results: readonly (StepResult | undefined)[]): void {
    results.forEach((result, index) => {
      if (result === undefined || this.#told.has(index)) return;
      this.#told.add(index);
      this.#request.onStep(index, result);
    });
  }

  /** What the signal ends half-way is no error: what was done until then is looked at and told (S33). */
  async #unlessStopped(work: () => Promise<void>): Promise<void> {
    if (this.#signal.aborted) return;
    try {
      await work();
    } catch (error) {
      if (!this.#signal.aborted) throw error;
    }
  }

  /** Writes every new content aside and reads its digest back: nothing unverified is ever moved into place. */
  async #stageContents(): Promise<void> {
    const writes = this.#request.steps.flatMap(({ step }, index) => (step.op === "write" ? [{ ...step, index }] : []));
    const totalBytes = writes.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    let sentBytes = 0;
    const on = {
      written: ({ sizeBytes }: StagedWrite) => {
        sentBytes += sizeBytes;
        this.#request.onBytes(sentBytes, totalBytes);
      },
      fault: (index: number, error: unknown) => this.#settleFault(index, error),
    };
    const wrong = await this.#contents.bring(writes, this.#request.contents, on, this.#signal);
    for (const index of wrong) {
      const step = this.#request.steps[index]?.step;
      if (step?.op === "write" && this.#results[index] === undefined)
        this.#settleAsUnverified(index, `${step.path}: the session did not keep the bytes it was sent`);
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
          if (!isAsSeen(actual, before)) this.#settleAsConflict(index, actual ?? before, "changed");
        }),
    );
  }

  async #setAsideHeldMoves(): Promise<void> {
    const work: Promise<void>[] = [];
    this.#request.steps.forEach(({ step }, index) => {
      if (step.op !== "move" || !step.held || this.#results[index] !== undefined) return;
      const setAside = async () => {
        const place = await this.#aside.heldPlace(step.from, this.#signal);
        this.#held.set(index, place);
        await this.#inWritable(step.from, () => this.#move(step.from, place, { replace: false }));
      };
      work.push(this.#attempt(index, setAside));
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

  /** A session's "success" is no evidence (S34): what was put into place is looked at there before anything goes. */
  async #verifyPlaces(): Promise<void> {
    const applied = this.#request.steps.flatMap(({ step }, index) =>
      this.#results[index]?.status === "applied" ? [{ step, index }] : [],
    );
    const placed = applied.flatMap(({ step, index }) => {
      if (step.op === "write") return [{ index, path: step.path, digest: step.digest }];
      const isFile = step.op === "move" && step.before.kind === "file" && step.before.digest !== undefined;
      return isFile ? [{ index, path: step.to, digest: step.before.digest }] : [];
    });
    const digests = await this.#transport.digestFiles(
      placed.map(({ path }) => path),
      this.#signalForTheEnd,
    );
    for (const { index, path, digest } of placed) {
      const found = digests.get(path);
      if (found === digest) continue;
      const step = this.#request.steps[index]?.step;
      // What was edited before it was moved is somebody's work, at its new place.
      if (step?.op === "move" && found !== undefined)
        this.#settleAsConflict(index, { kind: "file", sizeBytes: 0, digest: found }, "changed");
      else this.#settleAsUnverified(index, `${path} does not hold what was put there`);
    }
    await Promise.all(
      applied.map(async ({ step, index }) => {
        if (step.op !== "create-directory" && step.op !== "create-link") return;
        const found = await this.#limit(() => this.#transport.stat(step.path, this.#signalForTheEnd));
        const isThere =
          step.op === "create-directory"
            ? found?.kind === "directory"
            : found?.kind === "link" && found.target === step.target;
        if (!isThere) this.#settleAsUnverified(index, `${step.path} is not there as it was made`);
      }),
    );
  }

  /** What was replaced or deleted although the plan did not see it is back in its place, and a conflict (S20). */
  async #verifyAside(): Promise<void> {
    for (const [index, found] of await this.#aside.verify(this.#signalForTheEnd)) {
      this.#settleAsConflict(index, found, "changed");
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

  async #carryOut(step: Step, index: number): Promise<void> {
    const transport = this.#transport;
    switch (step.op) {
      case "create-directory":
        await this.#inWritable(step.path, () =>
          transport.createDirectory(step.path, step.mode | OWNER_ALL, this.#signal),
        );
        if (isClosed(step.mode)) this.#closedDirectories.set(step.path, step.mode);
        return;
      case "write":
        await this.#replace(this.#contents.pathOf(index), step, index);
        return;
      case "create-link": {
        if (step.before === undefined) {
          await this.#inWritable(step.path, () => transport.createLink(step.path, step.target, this.#signal));
          return;
        }
        const made = childPath(await this.#aside.makeStage(this.#signal), `link-${index}`);
        await transport.createLink(made, step.target, this.#signal);
        await this.#replace(made, step, index);
        return;
      }
      case "move":
        await this.#inWritable(step.from, () =>
          this.#inWritable(step.to, async () => {
            const from = this.#held.get(index) ?? step.from;
            const parent = parentPath(step.to);
            if (parent !== ROOT) await transport.createDirectory(parent, undefined, this.#signal);
            await this.#moveOpened(step, from);
          }),
        );
        return;
      case "set-mode":
        this.#closedDirectories.delete(step.path);
        await transport.setMode(step.path, step.mode, this.#signal);
        return;
      case "delete":
        await this.#inWritable(step.path, () => this.#remove(step, index));
        return;
    }
  }

  /** Puts what is staged into place; what stands there is kept in the backup or set aside, and is never missing. */
  async #replace(
    staged: WorkspacePath,
    step: Extract<Step, { op: "write" | "create-link" }>,
    index: number,
  ): Promise<void> {
    const keepAt = step.before === undefined ? undefined : await this.#placeFor(step, index);
    const options = keepAt === undefined ? { replace: false } : { replace: true, keepAt };
    try {
      await this.#inWritable(step.path, () => this.#move(staged, step.path, options));
    } catch (error) {
      if (keepAt !== undefined) await this.#putBack(keepAt, step.path);
      throw error;
    }
  }

  /**
   * Where files cannot be put over one another, the old one has gone aside when the new one fails to come: it comes back,
   * also after a stop (S2). A session that does not answer any more leaves it to the next apply.
   */
  async #putBack(keptAt: WorkspacePath, path: WorkspacePath): Promise<void> {
    const signal = AbortSignal.timeout(30_000);
    try {
      if ((await this.#transport.stat(path, signal)) !== undefined) return;
      if ((await this.#transport.stat(keptAt, signal)) === undefined) return;
      await this.#transport.move(keptAt, path, { replace: false }, signal);
    } catch {
      // What went wrong first is what is told.
    }
  }

  async #remove(step: Extract<Step, { op: "delete" }>, index: number): Promise<void> {
    if (step.before.kind !== "directory") {
      await this.#move(step.path, await this.#placeFor(step, index), { replace: false });
      return;
    }
    try {
      await this.#transport.removeDirectory(step.path, this.#signal);
    } catch (error) {
      // Something that is not ours is left in it: it stays, and leaves base (S10).
      if (!hasCode(error, "DIRECTORY_NOT_EMPTY")) throw error;
    }
  }

  /** Where somebody's bytes go that a step replaces or deletes: the backup, or aside until they are known to be ours. */
  async #placeFor(
    step: Extract<Step, { op: "write" | "create-link" | "delete" }>,
    index: number,
  ): Promise<WorkspacePath> {
    if (!step.backup || !this.#request.backup) return await this.#aside.place(index, step, this.#signal);
    return await this.#aside.makeBackupPlace(step.path, this.#signal);
  }

  async #move(from: WorkspacePath, to: WorkspacePath, options: MoveOptions): Promise<void> {
    await this.#transport.move(from, to, options, this.#signal);
  }

  /** Does `work` below the parent of `path`; a parent without write permission is opened for it and closed at the end. */
  async #inWritable(path: WorkspacePath, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      const parent = parentPath(path);
      if (!hasCode(error, "PERMISSION_DENIED") || parent === ROOT) throw error;
      // Neighbours meet the same closed door at once: the first one opens it, the others wait for that.
      const opening = this.#openings.get(parent) ?? this.#open(parent);
      this.#openings.set(parent, opening);
      if (!(await opening)) throw error;
      await work();
    }
  }

  /** Opens a closed directory until the end of the run; false when it is not that what stands in the way. */
  async #open(directory: WorkspacePath): Promise<boolean> {
    const entry = await this.#transport.stat(directory, this.#signal);
    if (entry?.kind !== "directory" || entry.mode === undefined || !isClosed(entry.mode)) return false;
    this.#closedDirectories.set(directory, entry.mode);
    await this.#transport.setMode(directory, entry.mode | OWNER_ALL, this.#signal);
    return true;
  }

  /** A directory that comes below another one is written itself: its `..` changes. A closed one is opened for that. */
  async #moveOpened(step: Extract<Step, { op: "move" }>, from: WorkspacePath): Promise<void> {
    try {
      await this.#move(from, step.to, { replace: false });
    } catch (error) {
      if (!hasCode(error, "PERMISSION_DENIED") || step.before.kind !== "directory" || !(await this.#open(from)))
        throw error;
      await this.#move(from, step.to, { replace: false });
      const mode = this.#closedDirectories.get(from);
      this.#closedDirectories.delete(from);
      if (mode !== undefined) this.#closedDirectories.set(step.to, mode);
    }
  }

  /** Nothing in here may hide what became of the steps: what cannot be tidied up now is the next apply's. */
  async #tidy(): Promise<void> {
    const signal = AbortSignal.timeout(30_000);
    const innerFirst = [...this.#closedDirectories].toSorted(([one], [other]) => other.length - one.length);
    for (const [path, mode] of innerFirst) await this.#transport.setMode(path, mode, signal).catch(() => undefined);
    const work = [
      this.#aside.discard(signal),
      ...this.#request.steps.flatMap(({ step }, index) => {
        const held = this.#held.get(index);
        if (step.op !== "move" || held === undefined || this.#results[index]?.status === "applied") return [];
        return [this.#limit(() => this.#transport.move(held, step.from, { replace: false }, signal))];
      }),
    ];
    const tidied = await Promise.allSettled(work);
    // What did not come back waits in the stage for the next apply.
    if (tidied.every(({ status }) => status === "fulfilled"))
      await this.#aside.removeStage(signal).catch(() => undefined);
  }

  /** Runs one piece of work for a step; what goes wrong becomes its result, unless the session is lost. */
  async #attempt(index: number, work: () => Promise<void>): Promise<void> {
    try {
      await this.#limit(async () => {
        if (!this.#signal.aborted) await work();
      });
    } catch (error) {
      this.#settleFault(index, error);
    }
  }

  #settleFault(index: number, error: unknown): void {
    if (hasCode(error, "SESSION_GONE", "BAD_API_KEY")) throw error;
    if (hasCode(error, "ALREADY_EXISTS")) this.#settleAsConflict(index, { kind: "file", sizeBytes: 0 }, "appeared");
    else if (this.#signal.aborted) this.#settle(index, { status: "skipped", reason: "interrupted" });
    else this.#settle(index, { status: "failed", error: error instanceof Error ? error : new Error(String(error)) });
  }

  #settleAsUnverified(index: number, what: string): void {
    const hint = "apply again; if it happens again, the session's disk or file tools are at fault";
    this.#settle(index, { status: "failed", error: new TransportError("VERIFY_FAILED", printable(what), { hint }) });
  }

  #settleAsConflict(index: number, actual: Entry, what: "changed" | "vanished" | "appeared"): void {
    const step = this.#request.steps[index]?.step;
    if (step === undefined) return;
    const isAtItsNewPlace = step.op === "move" && (what === "appeared" || this.#results[index]?.status === "applied");
    const conflict: Conflict = {
      path: step.op === "move" ? (isAtItsNewPlace ? step.to : step.from) : step.path,
      standing: what === "appeared" ? "unmanaged" : "drifted",
      desired: undefined,
      actual,
      reason: `${what} in the session while this apply was under way`,
    };
    this.#settle(index, { status: "conflict", conflict });
  }

  #settle(index: number, result: StepResult): void {
    this.#results[index] = result;
  }

  #skipRest(reason: string): void {
    this.#results.forEach((result, index) => {
      if (result === undefined) this.#settle(index, { status: "skipped", reason });
    });
  }
}
