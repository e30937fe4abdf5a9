import { CommanderError } from "commander";
import { exitCodes } from "../exit-code.ts";
import { Output } from "../output.ts";
import type { Invoke } from "./program.ts";
import { apart, buildProgram, refuseUnknownCommand } from "./program.ts";

/** Runs one command line and sets the exit code of the process. */
export async function main(args: readonly string[]): Promise<void> {
  const output = new Output();
  const invoke: Invoke = async (invocation, load) => {
    const { runInvocation } = await import("./run-invocation.ts");
    process.exitCode = await runInvocation(output, invocation, load);
  };
  try {
    const { own, words } = apart(args);
    const program = buildProgram(output, invoke, words);
    refuseUnknownCommand(program, own);
    await program.parseAsync([...own], { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    // commander has already printed help, version or the mistake.
    process.exitCode = error.exitCode === 0 ? exitCodes.done : exitCodes.usage;
    if (error.exitCode !== 0 && args.includes("--json")) {
      const { failUsage } = await import("./run-invocation.ts");
      failUsage(output, error.message.replace(/^error: /, "").replaceAll(/\s+/g, " "));
    }
  }
  await output.flush();
  if (output.fault === undefined) return;
  output.writeError(`error: the output could not be written: ${output.fault.message}\n`);
  process.exitCode = exitCodes.failed;
}
