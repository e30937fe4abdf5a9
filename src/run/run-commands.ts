import { randomUUID } from "node:crypto";
import { setTimeout as wait } from "node:timers/promises";
import { ignoreMatcher } from "../desired/ignore-matcher.ts";
import { AgbSyncError, TransportError } from "../errors.ts";
import type { RunSpec } from "../manifest/manifest.ts";
import type { ProgressListener } from "../progress.ts";
import { quoteForShell } from "../transport/shell-quote.ts";
import type { ShellRequest, ShellResult, Transport } from "../transport/transport.ts";
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
const CALL_TIMEOUT_MS = 20_000;

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
  const call = (request: ShellRequest) => shell(request, AbortSignal.timeout(CALL_TIMEOUT_MS * 2));
  const directory = `${STATE_DIRECTORY}/run/${randomUUID()}`;
  const startedMs = performance.now();
  await start(call, spec, directory, transport.root);
  const output = new FollowedOutput(spec.command, options.onEvent);
  try {
    for (let pauseMs = FIRST_POLL_MS; ; pauseMs = Math.min(LONGEST_POLL_MS, pauseMs * 1.5)) {
      const exitCode = await output.fetch(call, directory, transport.root);
      if (exitCode !== undefined) return outcomeOf(spec, exitCode, output.tail);
      if (options.signal.aborted || performance.now() - startedMs > spec.timeoutMs) break;
      await wait(pauseMs, undefined, { signal: options.signal }).catch(() => undefined);
    }
    await call({
      command: `kill -TERM -"$(cat ${directory}/pid)" 2>/dev/null; :`,
      timeoutMs: CALL_TIMEOUT_MS,
      cwd: transport.root,
    });
    if (options.signal.aborted) throw new AgbSyncError("ABORTED", `stopped ${JSON.stringify(spec.command)}`);
    return {
      command: spec.command,
      status: "failed",
      exitCode: undefined,
      tail: `${output.tail}\nstopped after ${spec.timeoutMs} ms`,
    };
  } finally {
    await call({ command: `rm -rf ${directory}`, timeoutMs: CALL_TIMEOUT_MS, cwd: transport.root });
  }
}

type Call = (request: ShellRequest) => Promise<ShellResult>;

/** The command travels as a quoted argument; its own process group lets it be stopped as a whole. */
async function start(call: Call, spec: RunSpec, directory: string, root: string): Promise<void> {
  const inner = `cd -- ${quoteForShell(spec.cwd === "" ? "." : `./${spec.cwd}`)} || exit 1\n${spec.command}`;
  const job = `sh -c ${quoteForShell(inner)} > ${directory}/output 2>&1; echo $? > ${directory}/status.new; mv ${directory}/status.new ${directory}/status`;
  const command = [
    `mkdir -p ${directory}`,
    `if command -v setsid >/dev/null 2>&1; then own=setsid; else own=; fi`,
    `$own nohup sh -c 'echo $$ > ${directory}/pid; eval "$0"' ${quoteForShell(job)} > /dev/null 2>&1 < /dev/null &`,
  ].join("\n");
  const { exitCode, stderr } = await call({ command, timeoutMs: CALL_TIMEOUT_MS, cwd: root });
  if (exitCode !== 0)
    throw new TransportError("COMMAND_FAILED", `could not start ${JSON.stringify(spec.command)}: ${stderr.trim()}`);
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
  async fetch(call: Call, directory: string, root: string): Promise<number | undefined> {
    const command = [
      `status=$(cat ${directory}/status 2>/dev/null)`,
      `printf '%s\\n' "\${status:--}"`,
      `tail -c +${this.#offset + 1} ${directory}/output 2>/dev/null | head -c ${CHUNK_BYTES} | base64`,
      `echo end`,
    ].join("\n");
    const { stdout } = await call({ command, timeoutMs: CALL_TIMEOUT_MS, cwd: root });
    const [status = "", ...body] = stdout.trimEnd().split("\n");
    if (body.pop() !== "end") throw new TransportError("BAD_ANSWER", "the output of a command came back cut short");
    const bytes = Buffer.from(body.join(""), "base64");
    this.#offset += bytes.byteLength;
    this.#take(this.#decoder.decode(bytes, { stream: true }));
    if (status === "-" || bytes.byteLength === CHUNK_BYTES) return undefined;
    if (this.#rest !== "") this.#take("\n");
    return Number(status);
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

function outcomeOf(spec: RunSpec, exitCode: number, tail: string): CommandOutcome {
  return { command: spec.command, status: exitCode === 0 ? "done" : "failed", exitCode, tail };
}
