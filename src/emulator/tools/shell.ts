import { randomBytes } from "node:crypto";
import { numberAt, textAt, textMap } from "../session/json-values.ts";
import type { Namespace, RunResult } from "../session/namespace.ts";
import { homeDirectory } from "../session/session-tree.ts";
import { answer, failure, type ToolAnswer, type ToolCall } from "./tool-answer.ts";

const defaultTimeoutMs = 1000;
const maxTimeoutMs = 50_000;
/** How long a command runs whose connection is about to break half-way. */
const halfRunMs = 5;
const tooLong = "the output is too long for one answer";

/** shell (protocol §7): one command in a fresh `sh`. `searchPath` is its PATH. */
export async function runShell(call: ToolCall, namespace: Namespace, searchPath: string): Promise<ToolAnswer> {
  const command = textAt(call.args, "command");
  if (command === undefined) return failure(-32602, "command is required");
  const umask = call.settings.verdicts.umask;
  const argv =
    umask === process.umask()
      ? ["sh", "-c", command]
      : ["sh", "-c", `umask ${umask.toString(8)}; exec sh -c "$1"`, "sh", command];
  const result = await namespace.run({
    argv,
    cwd: textAt(call.args, "cwd") ?? homeDirectory,
    env: environment(call, searchPath),
    timeoutMs: call.isHalf ? halfRunMs : shellTimeoutMs(numberAt(call.args, "timeout_ms")),
  });
  return describe(result, call.settings.shellFailureForm);
}

/** How long a command may run: 1 s unless it asks for more, and never longer than 50 s (protocol §7). */
export function shellTimeoutMs(wantedMs: number | undefined): number {
  return Math.min(maxTimeoutMs, Math.max(1, wantedMs ?? defaultTimeoutMs));
}

function environment(call: ToolCall, searchPath: string): Readonly<Record<string, string>> {
  const isRoot = call.settings.user === "root";
  return {
    PATH: searchPath,
    HOME: isRoot ? "/root" : homeDirectory,
    USER: isRoot ? "root" : "wuying",
    LOGNAME: isRoot ? "root" : "wuying",
    SHELL: "/bin/sh",
    LANG: "C.UTF-8",
    ...textMap(call.args["envs"]),
  };
}

/** Output is decoded as UTF-8; other bytes arrive damaged, as through any service that answers in JSON. */
function describe(result: RunResult, form: "A" | "B" | "C"): ToolAnswer {
  if (result.isTimedOut) return failure(-1, "[timeout]");
  if (result.isTooLong) return failure(-1, tooLong);
  const { exitCode } = result;
  const stdout = result.stdout.toString("utf8");
  const stderr = result.stderr.toString("utf8");
  if (exitCode === 0) return answer(JSON.stringify({ stdout, stderr, exit_code: 0, traceId: "" }));
  if (form === "C") return failure(exitCode, stderr === "" ? stdout : stderr);
  const text = JSON.stringify({ stdout, stderr, exit_code: exitCode, traceId: randomBytes(8).toString("hex") });
  return { text, isError: form === "B" };
}

const interpreters: Readonly<Record<string, readonly string[]>> = {
  python: ["python3", "-c"],
  javascript: ["node", "-e"],
};
const aliases: Readonly<Record<string, string>> = {
  py: "python",
  python3: "python",
  js: "javascript",
  node: "javascript",
  nodejs: "javascript",
};
const maxCodeSeconds = 60;

/** run_code (protocol §7): Python or JavaScript, where this machine has the interpreter. */
export async function runCode(call: ToolCall, namespace: Namespace, searchPath: string): Promise<ToolAnswer> {
  const code = textAt(call.args, "code");
  const language = (textAt(call.args, "language") ?? "").trim().toLowerCase();
  const interpreter = interpreters[aliases[language] ?? language];
  if (code === undefined || code.trim() === "") return failure(-32602, "code is required");
  if (interpreter === undefined) return failure(-32602, `Unsupported language: ${language}`);
  const seconds = Math.min(maxCodeSeconds, numberAt(call.args, "timeout_s") ?? maxCodeSeconds);
  const started = performance.now();
  const result = await namespace.run({
    argv: ["sh", "-c", 'mkdir -p /workspace && cd /workspace && exec "$@"', "sh", ...interpreter, code],
    cwd: "/",
    env: environment(call, searchPath),
    timeoutMs: call.isHalf ? halfRunMs : seconds * 1000,
  });
  if (result.isTimedOut) return failure(-1, "[timeout]");
  if (result.isTooLong) return failure(-1, tooLong);
  const stdout = result.stdout.toString("utf8");
  const stderr = result.stderr.toString("utf8");
  return answer(
    JSON.stringify({
      result: [],
      stdout: stdout === "" ? [] : [stdout],
      stderr: stderr === "" ? [] : [stderr],
      executionError: result.exitCode === 0 ? null : stderr || `exit status ${result.exitCode}`,
      execution_count: 1,
      execution_time: (performance.now() - started) / 1000,
    }),
  );
}
