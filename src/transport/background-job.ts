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
/** A job writes its process id first of all; without it for so long it was never started. */
const LONGEST_START_MS = 2000;

/** How long a job may take to end by itself once it is asked to, in twentieths of a second. */
const GRACE_TICKS = 60;

/**
 * Ends the job in `$d`. Its processes are found by group and by descent, because without setsid they have no group of
 * their own; where there is no /proc, only the group and the first process are reached.
 */
const STOP = `cd "$d" 2>/dev/null || exit 0
mkdir claim 2>/dev/null && exit 0
if sleep 0.05 2>/dev/null; then nap=0.05 ticks=1; else nap=1 ticks=20; fi
n=0; while [ ! -s pid ] && [ $n -lt 40 ]; do sleep $nap; n=$((n + ticks)); done
p=$(cat pid 2>/dev/null)
if [ -z "$p" ] || [ -e status ]; then exit 0; fi
all=$(sed 's/^\\([0-9]*\\) (.*) . \\([0-9]*\\) \\([0-9]*\\) .*/\\1 \\2 \\3/' /proc/[0-9]*/stat 2>/dev/null)
mine=" $p "; more=1
while [ -n "$more" ]; do
  more=
  while read -r pid parent group; do
    case "$mine" in *" $pid "*) continue;; esac
    case "$mine" in
    *" $parent "*) mine="$mine$pid "; more=1;;
    *) if [ "$group" = "$p" ]; then mine="$mine$pid "; more=1; fi;;
    esac
  done <<END
$all
END
done
lives() {
  [ -d /proc/self ] || { kill -0 "$p" 2>/dev/null; return; }
  for q in $mine; do
    case "$(cat "/proc/$q/stat" 2>/dev/null)" in '' | *') Z '*) ;; *) return 0;; esac
  done
  return 1
}
kill -TERM $mine 2>/dev/null; kill -TERM -- "-$p" 2>/dev/null
n=0; while lives && [ $n -lt ${GRACE_TICKS} ]; do sleep $nap; n=$((n + ticks)); done
kill -KILL $mine 2>/dev/null; kill -KILL -- "-$p" 2>/dev/null
exit 0`;

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
  /** How far its output was read. */
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
    const errors = options.joinsErrors ? "2>&1" : "2>errors";
    const job = `cd "$1" && mkdir claim 2>/dev/null || exit 0
echo $$ >pid.new && mv pid.new pid
( cd "$2" && exec sh -c "$3" ) >output ${errors} </dev/null
echo $? >status.new && mv status.new status`;
    // An ignored SIGHUP stays ignored across exec: what nohup does, where there may be none.
    const command = `umask 077
d=${quoteForShell(this.#directory)}; mkdir -p "$d" && : >>"$d/output" || exit 1
command -v setsid >/dev/null 2>&1 && own=setsid || own=
( trap '' HUP; exec $own sh -c ${quoteForShell(job)} sh "$d" "$PWD" ${quoteForShell(script)} ) >/dev/null 2>&1 </dev/null &`;
    await this.#run(command, "start a command", signal);
  }

  /**
   * The next bytes of output, at most `mostBytes` of them. Safe to repeat.
   * @throws {TransportError} `TOOL_FAILED` when the job never started, or its process is gone and left no status.
   */
  async look(offset: number, mostBytes: number, signal: AbortSignal): Promise<JobView> {
    const startedMs = this.#now();
    // The process is looked at before its status: one that ends in between has left it.
    const command = `cd ${quoteForShell(this.#directory)} || exit 1
p=$(cat pid 2>/dev/null); a=live
if [ -z "$p" ]; then a=none
elif ! kill -0 "$p" 2>/dev/null; then a=dead
else case $(cat "/proc/$p/stat" 2>/dev/null) in *') Z '*) a=dead ;; esac; fi
s=$(cat status 2>/dev/null); printf '%s %s %s\\n' "\${s:--}" "$a" "$(wc -c <output | tr -d ' ')"
tail -c +${offset + 1} output | head -c ${mostBytes} | base64`;
    const [head = "", ...body] = (await this.#run(command, "follow a command", signal)).split("\n");
    const match = /^(-|\d{1,3}) (live|none|dead) (\d{1,15})$/.exec(head);
    if (match === null) {
      throw new TransportError("BAD_ANSWER", "follow a command: the answer cannot be read", { retryable: true });
    }
    const exitCode = match[1] === "-" ? undefined : Number(match[1]);
    const output = Buffer.from(body.join(""), "base64");
    const isNew = offset + output.byteLength > this.#seenBytes;
    this.#seenBytes = Math.max(this.#seenBytes, offset + output.byteLength);
    // What a dead job printed last is handed on first.
    if (exitCode === undefined && !isNew && !this.#isStopped) this.#mustRun(match[2] ?? "", startedMs);
    return { exitCode, sizeBytes: Number(match[3]), output };
  }

  /** The last of what it said on standard error, where that was kept apart. */
  async lastErrors(signal: AbortSignal): Promise<string> {
    const command = `tail -c 300 ${quoteForShell(`${this.#directory}/errors`)} | base64`;
    return Buffer.from(await this.#run(command, "follow a command", signal), "base64").toString("utf8");
  }

  /**
   * Ends the job with all that it started: asked first, made to after the grace period. One that has not begun yet never
   * will. Safe to repeat; the session finishes this even if nobody waits for the answer. `removes`: as `remove` does.
   */
  async stop(signal: AbortSignal, options: { readonly removes?: boolean } = {}): Promise<void> {
    const directory = quoteForShell(this.#directory);
    this.#isStopped = true;
    const remove = options.removes === true ? `rm -rf ${directory}` : ":";
    await this.#run(`d=${directory}\n(\n${STOP}\n)\n${remove}`, "stop a command", signal);
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
