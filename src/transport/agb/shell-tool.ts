import { TransportError } from "../../errors.ts";
import type { ShellRequest, ShellResult } from "../transport.ts";
import { decoded, fieldOf, recordOf } from "./parse-envelope.ts";
import type { ToolCaller } from "./tool-caller.ts";

/** Longest that the service lets a command run on the API route (protocol §7). */
export const LONGEST_COMMAND_MS = 50_000;
/** The answer needs time to travel back. */
const ANSWER_MS = 10_000;

/** Longest that a command may run where a request may last so long: the answer has to travel back in the rest. */
export function longestCommandMs(requestMs: number): number {
  return Math.max(1, Math.min(LONGEST_COMMAND_MS, Math.floor(requestMs - Math.min(ANSWER_MS, requestMs / 6))));
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
