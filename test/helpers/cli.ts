import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { onTestFinished } from "vitest";

/** The built command line, as users run it. */
export const cliPath = fileURLToPath(new URL("../../dist/bin/agb-sync.cjs", import.meta.url));

export type Finished = { readonly code: number | null; readonly stdout: string; readonly stderr: string };

export type RunOptions = {
  readonly cwd: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly stdin?: string;
};

/** Starts the command line; it is killed at the end of the test if it still runs. */
export function start(args: readonly string[], { cwd, env = {}, stdin }: RunOptions): ChildProcess {
  // Without `--`, Node takes an --env-file for its own even behind the program's name.
  const child = spawn(process.execPath, ["--", cliPath, ...args], {
    cwd,
    // TMPDIR: what it leaves there goes with the run, and whoever is left is known by it.
    env: { PATH: process.env["PATH"] ?? "", TMPDIR: tmpdir(), HOME: cwd, NO_COLOR: "1", ...env },
    stdio: ["pipe", "pipe", "pipe"],
  });
  child.stdin?.end(stdin ?? "");
  onTestFinished(() => void child.kill("SIGKILL"));
  return child;
}

/** Runs the command line to its end. */
export async function run(args: readonly string[], options: RunOptions): Promise<Finished> {
  const child = start(args, options);
  const { stdout, stderr } = child;
  if (stdout === null || stderr === null) throw new Error("no pipes");
  const [output, errors, [code]] = await Promise.all([text(stdout), text(stderr), once(child, "close")]);
  return { code: typeof code === "number" ? code : null, stdout: output, stderr: errors };
}

/** Waits for a line on standard output (or error output) that matches. */
export async function waitForLine(child: ChildProcess, pattern: RegExp): Promise<string> {
  let seen = "";
  for (const stream of [child.stdout, child.stderr]) stream?.setEncoding("utf8");
  return await new Promise((resolve, reject) => {
    const take = (chunk: string) => {
      seen += chunk;
      const line = seen.split("\n").find((one) => pattern.test(one));
      if (line !== undefined) resolve(line);
    };
    child.stdout?.on("data", take);
    child.stderr?.on("data", take);
    child.once("close", () => reject(new Error(`ended without ${String(pattern)}:\n${seen}`)));
  });
}
