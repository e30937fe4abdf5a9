import { randomUUID } from "node:crypto";
import { setTimeout as wait } from "node:timers/promises";
import { hasCode, TransportError } from "../errors.ts";
import { BackgroundJob } from "../transport/background-job.ts";
import { within } from "../transport/deadline.ts";
import { quoteForShell } from "../transport/shell-quote.ts";
import type { Transport } from "../transport/transport.ts";
import { STATE_DIRECTORY } from "../tree/workspace-path.ts";

/** What is to be run, as words: none of them is read as shell code (S27). */
export type LiveCommand = {
  readonly words: readonly [string, ...string[]];
  /** Below the root; "" is the root. */
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  /** It is ended, with all that it started, when it takes longer. */
  readonly timeoutMs?: number;
};

/** How it ended: with a status (128 + n for a signal), or stopped by us. */
export type LiveOutcome =
  | { readonly kind: "ended"; readonly exitCode: number }
  | { readonly kind: "timed-out" }
  | { readonly kind: "interrupted" };

export type LiveOptions = {
  /** Takes what was printed, in order for each stream; nothing more is fetched until it has done so. */
  readonly onOutput: (stream: "stdout" | "stderr", bytes: Uint8Array) => Promise<void> | void;
  /** Told once when the connection is lost, and once when it is back. */
  readonly onConnection?: (state: "lost" | "back", error?: Error) => void;
  readonly signal: AbortSignal;
};

/** The session answers a look after so long at the latest: shorter than what would be shown as a silence (S44). */
const WAIT_MS = 4000;
/** For one call about a command, with its repetitions. */
const CALL_MS = 60_000;
/** How long a command that is stopped may take to end by itself. */
const GRACE_MS = 10_000;
/** Bytes fetched at a time: cautious at first, as nobody knows what an answer may hold (protocol §14). */
const FIRST_PAGE_BYTES = 32 * 1024;
const LEAST_PAGE_BYTES = 1024;
const MOST_PAGE_BYTES = 512 * 1024;
/** Without a connection for so long a command is given up. */
const LONGEST_OUTAGE_MS = 10 * 60_000;
const OUTAGE_PAUSE_MS = 2000;

/**
 * Runs a command in the background of the session and hands its output on while it comes, byte for byte, stdout and
 * stderr apart. A lost connection is waited for; nothing is lost or repeated over it. When the signal aborts, or the time
 * is up, the command's whole process group is asked to end, made to after ten seconds, and its last output is read.
 * @throws {TransportError} `NOT_POSSIBLE_HERE` without a shell, `SESSION_GONE`, `TOOL_FAILED` when something in the
 *   session killed the job itself.
 */
export async function runLive(command: LiveCommand, transport: Transport, options: LiveOptions): Promise<LiveOutcome> {
  const { shell } = transport;
  if (shell === undefined) {
    throw new TransportError("NOT_POSSIBLE_HERE", "the session has no shell tool: commands cannot be run in it", {
      hint: "use an image with a shell",
    });
  }
  const job = new BackgroundJob(shell, { directory: `${STATE_DIRECTORY}/run/${randomUUID()}`, cwd: transport.root });
  const streams = new LiveStreams(job, options);
  let isOver = false;
  try {
    await within(CALL_MS, options.signal, (late) => job.start(scriptOf(command), { joinsErrors: false }, late));
    const ended = await follow(streams, command.timeoutMs, options.signal);
    isOver = ended !== undefined;
    if (ended !== undefined) return { kind: "ended", exitCode: ended };
    return { kind: options.signal.aborted ? "interrupted" : "timed-out" };
  } catch (error) {
    if (!options.signal.aborted) throw error;
    return { kind: "interrupted" };
  } finally {
    await leave(job, streams, isOver).catch(() => undefined);
  }
}

/** A session that does not answer by then keeps the command until its own end. */
async function leave(job: BackgroundJob, streams: LiveStreams, isOver: boolean): Promise<void> {
  if (!isOver) {
    await within(GRACE_MS * 2, undefined, (late) => job.stop(late, { graceMs: GRACE_MS }));
    await within(GRACE_MS, undefined, (late) => streams.drain(late));
  }
  await within(GRACE_MS, undefined, (late) => job.remove(late));
}

function scriptOf({ words, cwd, env }: LiveCommand): string {
  const place = quoteForShell(cwd === "" ? "." : `./${cwd}`);
  const exports = Object.entries(env).map(([name, value]) => `${name}=${quoteForShell(value)}; export ${name}\n`);
  return `cd -- ${place} || exit 1\n${exports.join("")}exec ${words.map(quoteForShell).join(" ")}`;
}

/** The exit code, once all output was handed on; undefined when the time is up. */
async function follow(
  streams: LiveStreams,
  timeoutMs: number | undefined,
  signal: AbortSignal,
): Promise<number | undefined> {
  const endMs = performance.now() + (timeoutMs ?? Number.POSITIVE_INFINITY);
  for (let lostMs: number | undefined; ; ) {
    const leftMs = endMs - performance.now();
    if (leftMs <= 0) return undefined;
    try {
      const exitCode = await within(CALL_MS, signal, (late) => streams.fetch(Math.min(WAIT_MS, leftMs), late));
      if (lostMs !== undefined) streams.say("back");
      lostMs = undefined;
      if (exitCode !== undefined && !streams.isBehind) return exitCode;
    } catch (error) {
      signal.throwIfAborted();
      if (!isOutage(error)) throw error;
      if (lostMs === undefined) streams.say("lost", error);
      lostMs ??= performance.now();
      if (performance.now() - lostMs > LONGEST_OUTAGE_MS) throw error;
      await wait(OUTAGE_PAUSE_MS, undefined, { signal });
    }
  }
}

function isOutage(error: unknown): error is TransportError {
  return (
    error instanceof TransportError && (error.retryable || hasCode(error, "UNREACHABLE", "UNAVAILABLE", "TIMEOUT"))
  );
}

/** Both streams of a job, read from where they were left off. */
class LiveStreams {
  readonly #job: BackgroundJob;
  readonly #options: LiveOptions;
  #outputAt = 0;
  #errorsAt = 0;
  #pageBytes = FIRST_PAGE_BYTES;
  #mostBytes = MOST_PAGE_BYTES;
  /** There is more already. */
  isBehind = false;

  constructor(job: BackgroundJob, options: LiveOptions) {
    this.#job = job;
    this.#options = options;
  }

  /** Hands on what comes next; the exit code once the command has ended. */
  async fetch(waitMs: number, signal: AbortSignal): Promise<number | undefined> {
    const from = { outputAt: this.#outputAt, errorsAt: this.#errorsAt };
    const look = { ...from, mostBytes: this.#pageBytes, waitMs: this.isBehind ? 0 : waitMs };
    try {
      const { exitCode, output, errors } = await this.#job.look(look, signal);
      this.#outputAt += output.bytes.byteLength;
      this.#errorsAt += errors.bytes.byteLength;
      this.isBehind = this.#outputAt < output.sizeBytes || this.#errorsAt < errors.sizeBytes;
      if (this.isBehind) this.#pageBytes = Math.min(this.#mostBytes, this.#pageBytes * 2);
      if (output.bytes.byteLength > 0) await this.#options.onOutput("stdout", output.bytes);
      if (errors.bytes.byteLength > 0) await this.#options.onOutput("stderr", errors.bytes);
      return exitCode;
    } catch (error) {
      // An answer that is cut off was too long.
      if (!hasCode(error, "BAD_ANSWER") || this.#pageBytes <= LEAST_PAGE_BYTES) throw error;
      this.#mostBytes = Math.max(LEAST_PAGE_BYTES, Math.floor(this.#pageBytes / 2));
      this.#pageBytes = this.#mostBytes;
      return undefined;
    }
  }

  /** Hands on what is left of a command that was stopped. */
  async drain(signal: AbortSignal): Promise<void> {
    do await this.fetch(0, signal);
    while (this.isBehind);
  }

  say(state: "lost" | "back", error?: Error): void {
    this.#options.onConnection?.(state, error);
  }
}
