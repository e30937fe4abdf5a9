import { messageOf } from "../errors.ts";
import type { RunSpec } from "../manifest/manifest.ts";
import type { ProgressListener } from "../progress.ts";
import { changedPaths, isComplete } from "../reconcile/apply-plan.ts";
import type { ApplyReport } from "../report.ts";
import { owedKey } from "../run/owed.ts";
import { isConcerned, LEAVE_MS, runCommand } from "../run/run-commands.ts";
import type { Transport } from "../transport/transport.ts";
import type { WorkspacePath } from "../tree/workspace-path.ts";

/** A command that is to start again may take this long to end; that it ended is what the next one waits for. */
const ENDING_MS = 10_000;

/** A row of commands under way; `place` is the command that runs or was the last to run. */
type Row = { readonly controller: AbortController; place: number; end: Promise<void> };

/**
 * Runs the manifest's commands beside the watch, one at a time and in order (W30). A command is due once something that
 * concerns it was changed, and stays so until it has ended well. None begins while a commit is under way, and one that
 * the commit concerns is ended before it and starts again after it; others go on.
 */
export class CommandRunner {
  readonly #onEvent: ProgressListener | undefined;
  readonly #onDone: () => void;
  /** Commands that are due, by what they are: an edit of the manifest leaves the others as they stand. */
  readonly #due = new Set<string>();
  /** Those that have ended well, which base still has as owed (S40). */
  readonly #done = new Set<string>();
  #row: Row | undefined;
  /** Closed during a commit. */
  #gate: { readonly opened: Promise<void>; readonly open: () => void } | undefined;
  /** Something became due since the last row began; what failed is not repeated before that. */
  #isWaiting = false;
  /** The last apply was not complete. */
  #isHeldBack = false;
  /** Resolved once nobody waits for a command any more. */
  readonly #left = openPromise();

  /** `onDone` is told that there is something to be struck out, once nothing runs any more (W30). */
  constructor(onEvent: ProgressListener | undefined, onDone: () => void) {
    this.#onEvent = onEvent;
    this.#onDone = onDone;
  }

  /** What base is to strike out, as it is now. */
  get done(): ReadonlySet<string> {
    return new Set(this.#done);
  }

  /** Something is to be struck out, and a commit for that alone would meet no command (W30). */
  get hasNews(): boolean {
    return this.#row === undefined && this.#done.size > 0;
  }

  /** After base was written without these. */
  struckOut(keys: ReadonlySet<string>): void {
    for (const key of keys) this.#done.delete(key);
  }

  /** What is owed and is not begun before something concerns it: it has just failed. */
  adopt(specs: readonly RunSpec[]): void {
    for (const spec of specs) this.#due.add(owedKey(spec));
  }

  /** Before a commit that will change `paths`. */
  async makeWay(specs: readonly RunSpec[], paths: readonly WorkspacePath[]): Promise<void> {
    const { promise: opened, resolve: open } = openPromise();
    this.#gate = { opened, open };
    const row = this.#row;
    if (row === undefined || !specs.slice(0, row.place + 1).some((spec) => isConcerned(spec, paths))) return;
    this.#say("info", `$ ${specs[row.place]?.command}: what it works on changes; it starts again after that`);
    this.#isWaiting = true;
    row.controller.abort();
    await Promise.race([row.end, this.#left.promise]);
  }

  /** After the commit, however it ended. */
  goOn(): void {
    this.#gate?.open();
    this.#gate = undefined;
  }

  /** Notes what an apply changed, without running anything. */
  note(specs: readonly RunSpec[], paths: readonly WorkspacePath[]): void {
    for (const spec of specs) {
      if (paths.length === 0 || !isConcerned(spec, paths)) continue;
      this.#due.add(owedKey(spec));
      this.#done.delete(owedKey(spec));
      this.#isWaiting = true;
    }
  }

  /** After an apply: starts what is due, or gives the reason why it has to wait. */
  settle(specs: readonly RunSpec[], transport: Transport, report: ApplyReport): string | undefined {
    this.note(specs, changedPaths(report));
    for (const key of report.owed.map(owedKey)) {
      if (this.#due.has(key) || this.#done.has(key)) continue;
      this.#due.add(key);
      this.#isWaiting = true;
    }
    this.#isHeldBack = !isComplete(report);
    const due = specs.filter((spec) => this.#due.has(owedKey(spec)));
    if (due.length === 0 || !this.#isWaiting) return undefined;
    if (this.#isHeldBack) return `${due.map(({ command }) => `$ ${command}`).join(", ")}: ${reasonIn(report)}`;
    if (this.#row !== undefined) return undefined;
    this.#isWaiting = false;
    const row: Row = { controller: new AbortController(), place: 0, end: Promise.resolve() };
    this.#row = row;
    row.end = this.#run(specs, transport, row).finally(() => {
      this.#row = undefined;
      if (this.#done.size > 0) this.#onDone();
    });
    return undefined;
  }

  /** Ends what runs and waits a moment for its end (W28). */
  async stop(): Promise<void> {
    this.goOn();
    const row = this.#row;
    if (row === undefined) return;
    row.controller.abort();
    const timer = setTimeout(this.#left.resolve, LEAVE_MS);
    await Promise.race([row.end, this.#left.promise]);
    clearTimeout(timer);
  }

  async #run(specs: readonly RunSpec[], transport: Transport, row: Row): Promise<void> {
    const { signal } = row.controller;
    const onEvent = this.#onEvent === undefined ? {} : { onEvent: this.#onEvent };
    try {
      for (const [place, spec] of specs.entries()) {
        await this.#gate?.opened;
        if (signal.aborted) return;
        if (this.#isHeldBack) {
          this.#isWaiting = true;
          return;
        }
        row.place = place;
        if (!this.#due.has(owedKey(spec))) continue;
        const { command, status, exitCode } = await runCommand(spec, transport, {
          ...onEvent,
          signal,
          endingMs: ENDING_MS,
        });
        if (status === "failed") {
          this.#say("warning", `$ ${command}: ${exitCode === undefined ? "stopped" : `exit ${exitCode}`}`);
          return;
        }
        this.#due.delete(owedKey(spec));
        this.#done.add(owedKey(spec));
        this.#say("info", `$ ${command}: done`);
      }
    } catch (error) {
      if (!signal.aborted) this.#say("warning", messageOf(error));
    }
  }

  #say(level: "info" | "warning", message: string): void {
    this.#onEvent?.({ type: "notice", level, message });
  }
}

function reasonIn(report: ApplyReport): string {
  const undone = report.outcomes.filter(
    ({ result }) => result.status === "failed" || result.status === "skipped",
  ).length;
  if (undone > 0) return `waits until the ${undone === 1 ? "step" : `${undone} steps`} that failed can be done`;
  const [conflict] = report.conflicts;
  const { unsupported } = report.plan;
  if (conflict === undefined) {
    return unsupported.length > 0 ? "waits: the session cannot hold everything" : "waits until everything is verified";
  }
  const others = report.conflicts.length - 1;
  return `waits until the conflict about ${conflict.path}${others > 0 ? ` and ${others} more` : ""} is settled`;
}

function openPromise(): { readonly promise: Promise<void>; readonly resolve: () => void } {
  let resolve = (): void => undefined;
  const promise = new Promise<void>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}
