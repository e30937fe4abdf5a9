import { CommanderError } from "commander";
import type { Invoke } from "./program.ts";
import { buildProgram } from "./program.ts";

/** Runs one command line and sets the exit code of the process. */
export async function main(args: readonly string[]): Promise<void> {
  const invoke: Invoke = async (options, load) => {
    const { runCommand } = await import("./run-command.ts");
    process.exitCode = await runCommand(options, load);
  };
  try {
    await buildProgram(invoke).parseAsync([...args], { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    // commander has already printed help, version or the mistake.
    process.exitCode = error.exitCode === 0 ? 0 : USAGE;
  }
}

/** As in exit-code.ts, which is not loaded for help. */
const USAGE = 64;
