import { randomBytes } from "node:crypto";
import { deflateSync } from "node:zlib";
import { TransportError } from "../../errors.ts";
import { shorten } from "../shorten.ts";
import type { ShellRequest, ShellResult } from "../transport.ts";
import { decoded, fieldOf, recordOf } from "./parse-envelope.ts";
import runCommand from "./programs/run-command.py.generated.js";
import { LONGEST_COMMAND_MS } from "./shell-tool.ts";
import type { ToolCaller } from "./tool-caller.ts";

/** Python starts, and the answer travels back. */
const ANSWER_MS = 10_000;

/**
 * Runs one command through `run_code` and Python (protocol §7), for sessions that have it and no shell tool. What comes
 * back is found by a marker, as the layout of such answers differs.
 * @throws {TransportError} `TIMEOUT`; `NOT_POSSIBLE_HERE` without Python; `TOOL_FAILED`; `BAD_ANSWER` when it is cut short.
 */
export async function runByCode(caller: ToolCaller, request: ShellRequest, signal: AbortSignal): Promise<ShellResult> {
  const timeoutMs = Math.min(request.timeoutMs, LONGEST_COMMAND_MS);
  const marker = `agb-sync-${randomBytes(9).toString("hex")}`;
  const args = {
    code: codeOf(request, timeoutMs, marker),
    language: "python",
    timeout_s: Math.ceil(timeoutMs / 1000) + 5,
  };
  const text = printedIn(await caller.call("run_code", args, timeoutMs + ANSWER_MS, signal));
  const match = new RegExp(`${marker} (-?\\d+|timeout) ([\\w=-]*) ([\\w=-]*) end`).exec(text);
  if (match === null) {
    throw new TransportError("BAD_ANSWER", "run_code: the answer is cut short", { retryable: true });
  }
  const [, status = "", stdout = "", stderr = ""] = match;
  if (status === "timeout") throw new TransportError("TIMEOUT", "run_code: [timeout]", { toolText: "[timeout]" });
  const exitCode = Number(status);
  return { stdout: textOf(stdout), stderr: textOf(stderr), exitCode: exitCode < 0 ? 128 - exitCode : exitCode };
}

/** What is given to it travels deflated: inside two layers of JSON its quotes and line breaks would outgrow the message cap. */
function codeOf({ command, cwd, env = {} }: ShellRequest, timeoutMs: number, marker: string): string {
  const given = JSON.stringify({ command, cwd: cwd ?? null, env, seconds: timeoutMs / 1000, marker });
  return `PACKED = "${deflateSync(given).toString("base64")}"\n${runCommand}`;
}

/** What the code printed, in one piece: logs may come in several, here or below `logs`. */
function printedIn(text: string): string {
  const answer = decoded(text);
  if (recordOf(answer) === undefined) return text;
  const printed = fieldOf(answer, "stdout") ?? fieldOf(fieldOf(answer, "logs"), "stdout");
  const fault = fieldOf(answer, "executionError") ?? fieldOf(answer, "error");
  if (fault !== undefined && fault !== null && fault !== "") {
    const reason = typeof fault === "string" ? fault : JSON.stringify(fault);
    // Python that is missing stays so; any other fault may pass.
    const isMissing = /python\S* (?:command )?not found|unsupported language/i.test(reason);
    throw new TransportError(isMissing ? "NOT_POSSIBLE_HERE" : "TOOL_FAILED", `run_code: ${shorten(reason)}`);
  }
  return Array.isArray(printed) ? printed.join("") : text;
}

function textOf(base64: string): string {
  return Buffer.from(base64, "base64url").toString("utf8");
}
