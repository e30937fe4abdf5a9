import { spawn } from "node:child_process";
import { hasErrno, TransportError } from "../../errors.ts";
import type { ShellRequest, ShellResult } from "../transport.ts";

/**
 * Runs a command in a process group of its own, which ends with the signal and at the timeout.
 * @throws {TransportError} `TIMEOUT`, and whatever the system says when no shell can be started.
 */
export async function runShell(request: ShellRequest, cwd: string, signal: AbortSignal): Promise<ShellResult> {
  const child = spawn("sh", ["-c", request.command], {
    cwd,
    env: { ...process.env, ...request.env },
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
  });
  const end = () => killGroup(child.pid);
  const timer = setTimeout(end, request.timeoutMs);
  signal.addEventListener("abort", end, { once: true });
  const output = { stdout: "", stderr: "" };
  child.stdout.setEncoding("utf8").on("data", (text: string) => (output.stdout += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (output.stderr += text));
  try {
    const exitCode = await new Promise<number | null>((resolve, reject) => {
      child.once("error", reject).once("close", resolve);
    });
    signal.throwIfAborted();
    if (exitCode === null)
      throw new TransportError("TIMEOUT", `the command did not end within ${request.timeoutMs} ms`);
    return { ...output, exitCode };
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", end);
  }
}

function killGroup(processId: number | undefined): void {
  if (processId === undefined) return;
  try {
    process.kill(-processId, "SIGKILL");
  } catch (error) {
    if (!hasErrno(error, "ESRCH")) throw error;
  }
}
