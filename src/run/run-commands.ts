import { randomUUID } from "node:crypto";
import { setTimeout as wait } from "node:timers/promises";
import { AgbSyncError, hasCode, TransportError } from "../errors.ts";
import { ignoreMatcher } from "../manifest/ignore-matcher.ts";
import type { RunSpec } from "../manifest/manifest.ts";
import type { ProgressListener } from "../progress.ts";
import { BackgroundJob } from "../transport/background-job.ts";
import { within } from "../transport/deadline.ts";
import { quoteForShell } from "../transport/shell-quote.ts";
import type { Transport } from "../transport/transport.ts";
import type { WorkspacePath } from "../tree/workspace-path.ts";
import { STATE_DIRECTORY } from "../tree/workspace-path.ts";

/** What became of one command. */
export type CommandOutcome = {
  readonly command: string;
  readonly status: "done" | "failed" | "not-needed";
  readonly exitCode: number | undefined;
  /** The last lines of what it printed, for a failure. */
  readonly tail: string;
};

export type RunOptions = {
  readonly onEvent?: ProgressListener;
  /** How long to wait, once the signal has aborted, until the command has ended. Default {@link LEAVE_MS}. */
  readonly endingMs?: number;
  readonly signal: AbortSignal;
};

/** First and longest pause between two looks at a command that is under way. */
const FIRST_POLL_MS = 50;
const LONGEST_POLL_MS = 1000;
/** Output fetched at a time, and lines of it kept for a failure. */
const CHUNK_BYTES = 32 * 1024;
const TAIL_LINES = 20;
/** For one call about a command, with its repetitions. */
const CALL_MS = 60_000;
/** Whoever wants to leave does not wait longer than this for a session that does not answer (W28). */
export const LEAVE_MS = 1200;

/**
 * Runs the manifest's commands in order, each in the background of the session so that no request lasts long; output is
 * followed by offset. The first failure ends the row. Commands whose `onChange` matches nothing are not run.
 * @throws {TransportError} `NOT_POSSIBLE_HERE` where the session has no shell. @throws {AgbSyncError} `ABORTED`.
 */
export async function runCommands(
  specs: readonly RunSpec[],
  transport: Transport,
  options: RunOptions & {
    /** Paths that this apply changed; `onChange` patterns are matched against them. */
    readonly changed: readonly WorkspacePath[];
    /** Commands that run whatever has changed. */
    readonly isOwed?: (spec: RunSpec) => boolean;
    /** Told of each command that has ended well, before the next one begins. */
    readonly onDone?: (spec: RunSpec) => Promise<void>;
  },
): Promise<readonly CommandOutcome[]> {
  const outcomes: CommandOutcome[] = [];
  for (const spec of specs) {
    if (!isConcerned(spec, options.changed) && options.isOwed?.(spec) !== true) {
      outcomes.push({ command: spec.command, status: "not-needed", exitCode: undefined, tail: "" });
      continue;
    }
    const outcome = await runCommand(spec, transport, options);
    outcomes.push(outcome);
    if (outcome.status === "failed") break;
    await options.onDone?.(spec);
  }
  return outcomes;
}

/** Whether a command is to run when these paths have changed. */
export function isConcerned({ onChange }: RunSpec, changed: readonly WorkspacePath[]): boolean {
  const matches = ignoreMatcher(onChange);
  return onChange.length === 0 || changed.some((path) => matches(path, false));
}

/**
 * Runs one command to its end. Its time is up after `timeoutMs`, which reading the rest of its output does not count
 * towards; then, and when the signal aborts, it is ended with all that it started.
 * @throws as {@link runCommands}.
 */
export async function runCommand(spec: RunSpec, transport: Transport, options: RunOptions): Promise<CommandOutcome> {
  const { shell } = transport;
  if (shell === undefined) {
    throw new TransportError(
      "NOT_POSSIBLE_HERE",
      `cannot run ${JSON.stringify(spec.command)}: the session has no shell tool`,
      {
        hint: "use an image with a shell, or remove the run section",
      },
    );
  }
  const { signal } = options;
  const job = new BackgroundJob(shell, { directory: `${STATE_DIRECTORY}/run/${randomUUID()}`, cwd: transport.root });
  const output = new FollowedOutput(spec.command, options.onEvent);
  const cd = `cd -- ${quoteForShell(spec.cwd === "" ? "." : `./${spec.cwd}`)} || exit 1`;
  try {
    await job.start(`${cd}\n${spec.command}`, { joinsErrors: true }, signal);
    const exitCode = await followToEnd(job, output, spec.timeoutMs, signal);
    if (exitCode === undefined) {
      await within(CALL_MS, undefined, (late) => job.stop(late));
      await within(CALL_MS, signal, (late) => output.fetch(job, late));
    }
    await within(CALL_MS, signal, (late) => job.remove(late));
    if (exitCode !== undefined) return outcomeOf(spec, exitCode, output.tail);
    return failedWithout(spec, `${output.tail}\nstopped after ${spec.timeoutMs} ms`);
  } catch (error) {
    // A job that was killed, or never started, is this command's failure and no more.
    if (hasCode(error, "TOOL_FAILED") && !signal.aborted) {
      await within(CALL_MS, signal, (late) => job.remove(late));
      return failedWithout(spec, `${output.tail}\n${error.message}`);
    }
    // What ends the apply must not end the ending. A session that does not answer keeps the command until its own end.
    const leave = async (late: AbortSignal) => await job.stop(late, { removes: true });
    const { endingMs = LEAVE_MS } = options;
    await within(signal.aborted ? endingMs : CALL_MS, undefined, leave).catch(() => undefined);
    if (signal.aborted) throw new AgbSyncError("ABORTED", `stopped ${JSON.stringify(spec.command)}`, { cause: error });
    throw error;
  }
}

/** The exit code, once the command has ended and all of its output was read; undefined when its time is up. */
async function followToEnd(
  job: BackgroundJob,
  output: FollowedOutput,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<number | undefined> {
  const startedMs = performance.now();
  for (let pauseMs = FIRST_POLL_MS; ; ) {
    const view = await within(CALL_MS, signal, (late) => output.fetch(job, late));
    signal.throwIfAborted();
    if (view.exitCode !== undefined && !view.isBehind) {
      output.end();
      return view.exitCode;
    }
    if (view.exitCode === undefined && performance.now() - startedMs > timeoutMs) return undefined;
    if (view.isBehind) continue;
    await wait(Math.min(pauseMs, Math.max(1, startedMs + timeoutMs - performance.now())), undefined, { signal });
    pauseMs = Math.min(LONGEST_POLL_MS, pauseMs * 1.5);
  }
}

/** Reads a growing log from where it left off, and hands it on line by line. */
class FollowedOutput {
  readonly #command: string;
  readonly #onEvent: ProgressListener | undefined;
  readonly #decoder = new TextDecoder();
  readonly #lines: string[] = [];
  #offset = 0;
  #rest = "";

  constructor(command: string, onEvent: ProgressListener | undefined) {
    this.#command = command;
    this.#onEvent = onEvent;
  }

  get tail(): string {
    return [...this.#lines, this.#rest]
      .filter((line) => line !== "")
      .slice(-TAIL_LINES)
      .join("\n");
  }

  /** Reads on; `isBehind`: there is more already. */
  async fetch(
    job: BackgroundJob,
    signal: AbortSignal,
  ): Promise<{ readonly exitCode: number | undefined; readonly isBehind: boolean }> {
    const { exitCode, output } = await job.look({ outputAt: this.#offset, mostBytes: CHUNK_BYTES }, signal);
    this.#offset += output.bytes.byteLength;
    this.#take(this.#decoder.decode(output.bytes, { stream: true }));
    return { exitCode, isBehind: this.#offset < output.sizeBytes };
  }

  /** The last line may lack its end. */
  end(): void {
    if (this.#rest !== "") this.#take("\n");
  }

  #take(text: string): void {
    const lines = (this.#rest + text).split("\n");
    this.#rest = lines.pop() ?? "";
    for (const line of lines) {
      this.#lines.push(line);
      if (this.#lines.length > TAIL_LINES) this.#lines.shift();
      this.#onEvent?.({ type: "output", stream: "stdout", command: this.#command, text: line });
    }
  }
}

function failedWithout(spec: RunSpec, tail: string): CommandOutcome {
  return { command: spec.command, status: "failed", exitCode: undefined, tail: tail.replace(/^\n/, "") };
}

function outcomeOf(spec: RunSpec, exitCode: number, tail: string): CommandOutcome {
  return { command: spec.command, status: exitCode === 0 ? "done" : "failed", exitCode, tail };
}
