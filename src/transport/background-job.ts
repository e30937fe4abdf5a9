import { TransportError } from "../errors.ts";
import job from "./programs/job.sh.generated.js";
import lookAtJob from "./programs/look-at-job.sh.generated.js";
import startJob from "./programs/start-job.sh.generated.js";
import stopJob from "./programs/stop-job.sh.generated.js";
import { runMarked } from "./run-marked.ts";
import { shellProgram } from "./shell-program.ts";
import { quoteForShell } from "./shell-quote.ts";
import type { ShellRequest, ShellResult } from "./transport.ts";

type Shell = (request: ShellRequest, signal: AbortSignal) => Promise<ShellResult>;

/** One stream of a job: how many bytes it has in all, and those from the offset that was asked for. */
export type JobStream = { readonly sizeBytes: number; readonly bytes: Buffer };

/** What a job has printed, and how it ended; `exitCode` is undefined while it runs. */
export type JobView = {
  readonly exitCode: number | undefined;
  readonly output: JobStream;
  /** Empty where errors go with the output. */
  readonly errors: JobStream;
};

/** From where on a job's streams are wanted, and how patiently. */
export type JobLook = {
  readonly outputAt: number;
  readonly errorsAt?: number;
  /** At most so many bytes of each stream. */
  readonly mostBytes: number;
  /** How long the session waits for something new before it answers; at most 15,000. Default 0. */
  readonly waitMs?: number;
};

const CALL_TIMEOUT_MS = 20_000;
/** The longest that a look waits in the session. */
const LONGEST_WAIT_MS = 15_000;
/** A job writes its process id first of all; without it for so long it was never started. */
const LONGEST_START_MS = 2000;

/** How long a job may take to end by itself once it is asked to. */
const GRACE_MS = 3000;

export type StopOptions = {
  /** As `remove` does. */
  readonly removes?: boolean;
  /** How long it may take to end by itself; at most 10,000. Default 3,000. */
  readonly graceMs?: number;
};

/**
 * A script that runs in the background of a session, so that no request lasts long (protocol §7): it is started once
 * however often that is asked for, and its output is followed by offset. What it keeps lies in a directory of its own.
 */
export class BackgroundJob {
  readonly #shell: Shell;
  readonly #cwd: string | undefined;
  readonly #directory: string;
  readonly #now: () => number;
  /** It was told to end, so that it ends without a status is no surprise. */
  #isStopped = false;
  /** How far its streams were read together. */
  #seenBytes = 0;
  /** When a look first found it without a process id. */
  #missingSinceMs: number | undefined;

  /** `directory` is the job's alone; absolute, or relative to `cwd`. `now` counts milliseconds from any moment. */
  constructor(shell: Shell, place: { readonly directory: string; readonly cwd?: string; readonly now?: () => number }) {
    this.#shell = shell;
    this.#cwd = place.cwd;
    this.#directory = place.directory;
    this.#now = place.now ?? (() => performance.now());
  }

  /**
   * Starts `script` as a process group of its own. Safe to repeat: the job itself takes the claim to be the only one.
   * @throws {TransportError} when the session cannot hold the job's files.
   */
  async start(script: string, options: { readonly joinsErrors: boolean }, signal: AbortSignal): Promise<void> {
    const values = { DIRECTORY: this.#directory, SCRIPT: script, JOINED: options.joinsErrors, JOB: job };
    const command = shellProgram(values, startJob);
    await this.#run(command, "start a command", signal);
  }

  /**
   * The next bytes of what it printed. Safe to repeat.
   * @throws {TransportError} `TOOL_FAILED` when the job never started, or its process is gone and left no status.
   */
  async look({ outputAt, errorsAt = 0, mostBytes, waitMs = 0 }: JobLook, signal: AbortSignal): Promise<JobView> {
    const startedMs = this.#now();
    const values = {
      DIRECTORY: this.#directory,
      OUTPUT_AT: outputAt,
      ERRORS_AT: errorsAt,
      MOST: mostBytes,
      WAIT: Math.ceil(Math.min(waitMs, LONGEST_WAIT_MS) / 100),
    };
    const text = await this.#run(shellProgram(values, lookAtJob), "follow a command", signal);
    if (text === "gone") {
      throw new TransportError(
        "TOOL_FAILED",
        `the command's output is gone: ${this.#directory} was removed while it ran`,
        {
          hint: "keep commands from removing .agb-sync/, with git clean for example",
        },
      );
    }
    const match = /^(-|\d{1,3}) (live|none|dead) (\d{1,15}) (\d{1,15})\n([^.]*)\.\n?([^.]*)$/.exec(text);
    if (match === null) {
      throw new TransportError("BAD_ANSWER", "follow a command: the answer cannot be read", { retryable: true });
    }
    const [, status = "-", state = "", outputSize, errorsSize, outputText = "", errorsText = ""] = match;
    const exitCode = status === "-" ? undefined : Number(status);
    const output = { sizeBytes: Number(outputSize), bytes: Buffer.from(outputText, "base64") };
    const errors = { sizeBytes: Number(errorsSize), bytes: Buffer.from(errorsText, "base64") };
    const seenBytes = outputAt + output.bytes.byteLength + errorsAt + errors.bytes.byteLength;
    const isNew = seenBytes > this.#seenBytes;
    this.#seenBytes = Math.max(this.#seenBytes, seenBytes);
    // What a dead job printed last is handed on first.
    if (exitCode === undefined && !isNew && !this.#isStopped) this.#mustRun(state, startedMs);
    return { exitCode, output, errors };
  }

  /**
   * Ends the job with all that it started: asked first, made to after the grace period. One that has not begun yet never
   * will. Safe to repeat; the session finishes this even if nobody waits for the answer.
   */
  async stop(signal: AbortSignal, options: StopOptions = {}): Promise<void> {
    const { graceMs = GRACE_MS } = options;
    this.#isStopped = true;
    const values = { DIRECTORY: this.#directory, GRACE: Math.ceil(graceMs / 50), REMOVES: options.removes ?? false };
    await this.#run(shellProgram(values, stopJob), "stop a command", signal);
  }

  /** Removes what the job kept. */
  async remove(signal: AbortSignal): Promise<void> {
    await this.#run(`rm -rf ${quoteForShell(this.#directory)}`, "tidy up after a command", signal);
  }

  #mustRun(state: string, lookedAtMs: number): void {
    if (state === "dead") {
      throw new TransportError("TOOL_FAILED", "a command ended without a status: something in the session killed it", {
        hint: "look at the memory of the session and at what else runs there, then apply again",
      });
    }
    this.#missingSinceMs = state === "none" ? (this.#missingSinceMs ?? lookedAtMs) : undefined;
    if (this.#missingSinceMs !== undefined && lookedAtMs - this.#missingSinceMs >= LONGEST_START_MS) {
      throw new TransportError("TOOL_FAILED", "a command did not start in the background of the session", {
        hint: "check that processes of the session outlive the call that starts them",
      });
    }
  }

  async #run(command: string, what: string, signal: AbortSignal): Promise<string> {
    const place = this.#cwd === undefined ? {} : { cwd: this.#cwd };
    return await runMarked(
      this.#shell,
      { command, timeoutMs: CALL_TIMEOUT_MS, repeatable: true, ...place },
      what,
      signal,
    );
  }
}
