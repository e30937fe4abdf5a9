import { randomBytes } from "node:crypto";
import { TransportError } from "../../errors.ts";
import type { ShellRequest, ShellResult, Transport } from "../transport.ts";
import { codeOfStderr } from "./error-text.ts";
import { decoded, fieldOf, recordOf, shorten } from "./parse-envelope.ts";
import type { ToolCaller } from "./tool-caller.ts";

/** Longest that the service lets a command run on the API route (protocol §7). */
export const LONGEST_COMMAND_MS = 50_000;
/** The answer needs time to travel back. */
const ANSWER_MS = 10_000;

/** The transport's shell. @throws {TransportError} `NOT_POSSIBLE_HERE` where there is none. */
export function shellOf({ shell }: Pick<Transport, "shell">): NonNullable<Transport["shell"]> {
  if (shell === undefined) throw withoutShell();
  return shell;
}

export function withoutShell(): TransportError {
  return new TransportError("NOT_POSSIBLE_HERE", "the session has no shell");
}

/** Runs one command through the shell tool, whatever form its result comes in (protocol §7). */
export async function runShell(caller: ToolCaller, request: ShellRequest, signal: AbortSignal): Promise<ShellResult> {
  const timeoutMs = Math.min(request.timeoutMs, LONGEST_COMMAND_MS);
  const args = {
    command: request.command,
    timeout_ms: timeoutMs,
    ...(request.cwd === undefined ? {} : { cwd: request.cwd }),
    ...(request.env === undefined ? {} : { envs: request.env }),
  };
  try {
    const text = await caller.call("shell", args, timeoutMs + ANSWER_MS, signal);
    return resultOf(text) ?? { stdout: text, stderr: "", exitCode: 0 };
  } catch (error) {
    if (!(error instanceof TransportError)) throw error;
    const failed = failureOf(error);
    if (failed === undefined) throw error;
    return failed;
  }
}

/** Text of the service that happens to be JSON is no wrapper unless it says how the command ended. */
function resultOf(text: string): ShellResult | undefined {
  const value = decoded(text);
  const record = recordOf(value);
  if (record === undefined || !("exit_code" in record || "errorCode" in record || "stdout" in record)) return undefined;
  const exitCode = fieldOf(value, "exit_code") ?? fieldOf(value, "errorCode") ?? 0;
  const out = fieldOf(value, "stdout");
  const err = fieldOf(value, "stderr");
  return {
    stdout: typeof out === "string" ? out : "",
    stderr: typeof err === "string" ? err : "",
    exitCode: typeof exitCode === "number" ? exitCode : Number(exitCode) || 0,
  };
}

/**
 * A failing command may come back as a tool error: as the wrapper, or as a text with the status in it. Either says how
 * the command ended, whatever words it printed; without a status of its own it was the tool that gave up.
 */
function failureOf(error: TransportError): ShellResult | undefined {
  if (error.toolText === undefined) return undefined;
  const wrapped = resultOf(error.toolText);
  if (wrapped !== undefined) {
    if (wrapped.exitCode < 0 && error.code === "TIMEOUT") return undefined;
    return { ...wrapped, exitCode: wrapped.exitCode || 1 };
  }
  const old = /Error code:(\d+) Error message: ([\s\S]*)$/.exec(error.toolText);
  return old === null || old[1] === "0" ? undefined : { stdout: "", stderr: old[2] ?? "", exitCode: Number(old[1]) };
}

/**
 * Runs a command whose standard output is ASCII, and believes it only with our own end marker, its status and its byte
 * count behind it (S39). Gives that output.
 * @throws {TransportError} `BAD_ANSWER` without the marker; by the text of stderr when the command failed.
 */
export async function runMarked(
  shell: (request: ShellRequest, signal: AbortSignal) => Promise<ShellResult>,
  request: ShellRequest,
  what: string,
  signal: AbortSignal,
): Promise<string> {
  const marker = `agb-sync-${randomBytes(9).toString("hex")}`;
  const command = `export LC_ALL=C\nout=$( (\n${request.command}\n) )\nst=$?\nprintf '%s\\n%s %s %s\\n' "$out" ${marker} "$st" "\${#out}"`;
  const { stdout, stderr } = await shell({ ...request, command }, signal);
  const match = new RegExp(`^([\\s\\S]*)\\n${marker} (\\d+) (\\d+)\\s*$`).exec(stdout);
  const output = match?.[1] ?? "";
  if (match === null || output.length !== Number(match[3])) {
    throw new TransportError("BAD_ANSWER", `${what}: the answer of the shell is cut short`, { retryable: true });
  }
  if (match[2] === "0") return output;
  const code = codeOfStderr(stderr);
  throw new TransportError(
    code,
    `${what}: ${shorten(stderr) || `status ${match[2]}`}`,
    code === "PERMISSION_DENIED"
      ? { hint: "choose a root that the session's user may write, such as /tmp/workspace" }
      : {},
  );
}
