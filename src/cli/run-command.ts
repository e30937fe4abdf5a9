import { resolve } from "node:path";
import { Context } from "./context.ts";
import { exitCodeOf } from "./exit-code.ts";
import type { Output } from "./output.ts";
import type { GlobalOptions } from "./program.ts";

/** Loads a command, runs it, and says what went wrong. Gives the exit code. */
export async function runCommand(
  output: Output,
  options: GlobalOptions,
  load: () => Promise<(context: Context) => Promise<number>>,
): Promise<number> {
  const context = new Context(process.env, process.cwd(), output);
  const { console } = context;
  if (options.directory !== undefined) context.cwd = resolve(context.cwd, options.directory);
  console.isQuiet = options.quiet ?? false;
  console.isVerbose = options.verbose ?? false;
  console.isDebug = options.debug ?? false;
  console.color = options.color;
  try {
    const command = await load();
    return await command(context);
  } catch (error) {
    const isInterrupted = context.interruptCode !== undefined;
    if (!isInterrupted) console.fail(error);
    else console.say("interrupted; what was applied so far is recorded, apply again to finish");
    return context.interruptCode ?? exitCodeOf(error);
  }
}
