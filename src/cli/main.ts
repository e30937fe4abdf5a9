import { CommanderError } from "commander";
import { Output } from "./output.ts";
import type { Invoke } from "./program.ts";
import { buildProgram } from "./program.ts";

/** As in exit-code.ts, which is not loaded for help. */
const FAILED = 1;
const USAGE = 64;

/** Runs one command line and sets the exit code of the process. */
export async function main(args: readonly string[]): Promise<void> {
  const output = new Output();
  const invoke: Invoke = async (invocation, load) => {
    const { runCommand } = await import("./run-command.ts");
    process.exitCode = await runCommand(output, invocation, load);
  };
  try {
    await buildProgram(output, invoke).parseAsync([...args], { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    // commander has already printed help, version or the mistake.
    process.exitCode = error.exitCode === 0 ? 0 : USAGE;
    if (error.exitCode !== 0 && args.includes("--json")) {
      const { failUsage } = await import("./run-command.ts");
      failUsage(output, error.message.replace(/^error: /, "").replaceAll(/\s+/g, " "));
    }
  }
  await output.flush();
  if (output.fault === undefined) return;
  output.writeError(`error: the output could not be written: ${output.fault.message}\n`);
  process.exitCode = FAILED;
}
