import { TransportError } from "../errors.ts";
import { runMarked } from "./agb/shell-tool.ts";
import { quoteForShell } from "./shell-quote.ts";
import type { ShellRequest, ShellResult } from "./transport.ts";

type Shell = (request: ShellRequest, signal: AbortSignal) => Promise<ShellResult>;

/** What a job has printed from an offset on, and how it ended; `exitCode` is undefined while it runs. */
export type JobView = {
  readonly exitCode: number | undefined;
  /** Bytes that it has printed so far in all. */
  readonly sizeBytes: number;
  readonly output: Buffer;
};

const CALL_TIMEOUT_MS = 20_000;

/**
 * A script that runs in the background of a session, so that no request lasts long (protocol §7): it is started once
 * however often that is asked for, and its output is followed by offset. What it keeps lies in a directory of its own.
 */
export class BackgroundJob {
  readonly #shell: Shell;
  readonly #cwd: string | undefined;
  readonly #directory: string;

  /** `directory` is the job's alone; absolute, or relative to `cwd`. */
  constructor(shell: Shell, place: { readonly directory: string; readonly cwd?: string }) {
    this.#shell = shell;
    this.#cwd = place.cwd;
    this.#directory = place.directory;
  }

  /**
   * Starts `script` as a process group of its own. Safe to repeat: the job itself takes the claim to be the only one.
   * @throws {TransportError} when the session cannot hold the job's files.
   */
  async start(script: string, options: { readonly joinsErrors: boolean }, signal: AbortSignal): Promise<void> {
    const errors = options.joinsErrors ? "2>&1" : "2>errors";
    const job = `cd "$1" && mkdir claim 2>/dev/null || exit 0
echo $$ >pid.new && mv pid.new pid
( cd "$2" && exec sh -c "$3" ) >output ${errors} </dev/null
echo $? >status.new && mv status.new status`;
    const command = `umask 077
d=${quoteForShell(this.#directory)}; mkdir -p "$d" && : >>"$d/output" || exit 1
command -v setsid >/dev/null 2>&1 && own=setsid || own=
$own nohup sh -c ${quoteForShell(job)} sh "$d" "$PWD" ${quoteForShell(script)} >/dev/null 2>&1 </dev/null &`;
    await this.#run(command, "start a command", signal);
  }

  /** The next bytes of output, at most `mostBytes` of them. Safe to repeat. */
  async look(offset: number, mostBytes: number, signal: AbortSignal): Promise<JobView> {
    const command = `cd ${quoteForShell(this.#directory)} || exit 1
s=$(cat status 2>/dev/null); printf '%s %s\\n' "\${s:--}" "$(wc -c <output | tr -d ' ')"
tail -c +${offset + 1} output | head -c ${mostBytes} | base64`;
    const [head = "", ...body] = (await this.#run(command, "follow a command", signal)).split("\n");
    const match = /^(-|\d{1,3}) (\d{1,15})$/.exec(head);
    if (match === null) {
      throw new TransportError("BAD_ANSWER", "follow a command: the answer cannot be read", { retryable: true });
    }
    const exitCode = match[1] === "-" ? undefined : Number(match[1]);
    return { exitCode, sizeBytes: Number(match[2]), output: Buffer.from(body.join(""), "base64") };
  }

  /** The last of what it said on standard error, where that was kept apart. */
  async lastErrors(signal: AbortSignal): Promise<string> {
    const command = `tail -c 300 ${quoteForShell(`${this.#directory}/errors`)} | base64`;
    return Buffer.from(await this.#run(command, "follow a command", signal), "base64").toString("utf8");
  }

  /** Ends the job with all of its children. */
  async stop(signal: AbortSignal): Promise<void> {
    const pid = quoteForShell(`${this.#directory}/pid`);
    await this.#run(`kill -TERM -"$(cat ${pid})" 2>/dev/null; :`, "stop a command", signal);
  }

  /** Removes what the job kept. */
  async remove(signal: AbortSignal): Promise<void> {
    await this.#run(`rm -rf ${quoteForShell(this.#directory)}`, "tidy up after a command", signal);
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
