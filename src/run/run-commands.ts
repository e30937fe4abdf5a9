import { randomUUID } from "node:crypto";
import { setTimeout as wait } from "node:timers/promises";
import { ignoreMatcher } from "../desired/ignore-matcher.ts";
import { AgbSyncError, hasCode, TransportError } from "../errors.ts";
import type { RunSpec } from "../manifest/manifest.ts";
import type { ProgressListener } from "../progress.ts";
import { BackgroundJob } from "../transport/background-job.ts";
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
  /** Paths that this apply changed; `onChange` patterns are matched against them. */
  readonly changed: readonly WorkspacePath[];
  readonly onEvent?: ProgressListener;
  readonly signal: AbortSignal;
};

/** First and longest pause between two looks at a command that is under way. */
const FIRST_POLL_MS = 50;
const LONGEST_POLL_MS = 1000;
/** Output fetched at a time, and lines of it kept for a failure. */
const CHUNK_BYTES = 32 * 1024;
const TAIL_LINES = 20;
/** For one look at a command, with its repetitions. */
const CALLS_MS = 60_000;

/**
 * Runs the manifest's commands in order, each in the background of the session so that no request lasts long; output is
 * followed by offset. The first failure ends the row. Commands whose `onChange` matches nothing are not run.
 * @throws {TransportError} `NOT_POSSIBLE_HERE` where the session has no shell.
 */
export async function runCommands(
  specs: readonly RunSpec[],
  transport: Transport,
  options: RunOptions,
): Promise<readonly CommandOutcome[]> {
  const outcomes: CommandOutcome[] = [];
  for (const spec of specs) {
    const matches = ignoreMatcher(spec.onChange);
    if (spec.onChange.length > 0 && !options.changed.some((path) => matches(path, false))) {
      outcomes.push({ command: spec.command, status: "not-needed", exitCode: undefined, tail: "" });
      continue;
    }
    const outcome = await runCommand(spec, transport, options);
    outcomes.push(outcome);
    if (outcome.status === "failed") break;
  }
  return outcomes;
}

async function runCommand(spec: RunSpec, transport: Transport, options: RunOptions): Promise<CommandOutcome> {
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
  const job = new BackgroundJob(shell, { directory: `${STATE_DIRECTORY}/run/${randomUUID()}`, cwd: transport.root });
  // What stops the apply must not stop the stopping: these calls have a signal of their own.
  const late = () => AbortSignal.timeout(CALLS_MS);
  const startedMs = performance.now();
  const cd = `cd -- ${quoteForShell(spec.cwd === "" ? "." : `./${spec.cwd}`)} || exit 1`;
  await job.start(`${cd}\n${spec.command}`, { joinsErrors: true }, options.signal);
  const output = new FollowedOutput(spec.command, options.onEvent);
  try {
    for (let pauseMs = FIRST_POLL_MS; ; pauseMs = Math.min(LONGEST_POLL_MS, pauseMs * 1.5)) {
      const exitCode = await output.fetch(job, late());
      if (exitCode !== undefined) return outcomeOf(spec, exitCode, output.tail);
      if (options.signal.aborted || performance.now() - startedMs > spec.timeoutMs) break;
      await wait(pauseMs, undefined, { signal: options.signal }).catch(() => undefined);
    }
    await job.stop(late());
    if (options.signal.aborted) throw new AgbSyncError("ABORTED", `stopped ${JSON.stringify(spec.command)}`);
    return failedWithout(spec, `${output.tail}\nstopped after ${spec.timeoutMs} ms`);
  } catch (error) {
    // A job that was killed, or never started, is this command's failure and no more.
    if (!hasCode(error, "TOOL_FAILED")) throw error;
    return failedWithout(spec, `${output.tail}\n${error.message}`);
  } finally {
    await job.remove(late());
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

  /** The exit code once the command has ended and all of its output was read. */
  async fetch(job: BackgroundJob, signal: AbortSignal): Promise<number | undefined> {
    const { exitCode, sizeBytes, output } = await job.look(this.#offset, CHUNK_BYTES, signal);
    this.#offset += output.byteLength;
    this.#take(this.#decoder.decode(output, { stream: true }));
    if (exitCode === undefined || this.#offset < sizeBytes) return undefined;
    if (this.#rest !== "") this.#take("\n");
    return exitCode;
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
