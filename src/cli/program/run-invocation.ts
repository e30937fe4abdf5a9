import { statSync } from "node:fs";
import { isAbsolute, resolve } from "node:path";
import { readNamedEnvFiles, withoutPreloaded } from "../../environment/env-files.ts";
import { AgbSyncError, messageOf, UsageError } from "../../errors.ts";
import { Console } from "../console.ts";
import { Context } from "../context.ts";
import { errorLine } from "../events.ts";
import { exitCodeOf, exitCodes } from "../exit-code.ts";
import { localFault } from "../local-fault.ts";
import type { Output } from "../output.ts";
import type { Invocation } from "./program.ts";

/** Loads a command, runs it, and says what went wrong. Gives the exit code. */
export async function runInvocation(
  output: Output,
  invocation: Invocation,
  load: () => Promise<(context: Context) => Promise<number>>,
): Promise<number> {
  const { envFiles = [] } = invocation;
  const start = startDirectory();
  const env = start === undefined ? process.env : withoutPreloaded(process.env, start, envFiles);
  const context = new Context(env, start ?? "/", output);
  const { console } = context;
  console.isJson = invocation.json;
  console.isQuiet = invocation.quiet ?? false;
  console.isVerbose = invocation.verbose ?? false;
  console.isDebug = invocation.debug ?? false;
  console.color = invocation.color;
  try {
    context.directory = invocation.directory;
    context.cwd = workingDirectory(start, invocation.directory);
    context.vars = parseVars(invocation.vars ?? []);
    context.envFiles = envFiles;
    // Named on purpose: they are looked at even where nothing asks for them.
    readNamedEnvFiles(context.cwd, context.envFiles);
    const command = await load();
    return await command(context);
  } catch (thrown) {
    const error = localFault(thrown) ?? withHint(thrown, invocation.command);
    const code = context.interruptCode ?? exitCodeOf(error);
    if (context.interruptCode === undefined) console.fail(error, code);
    else {
      const message = `interrupted; ${context.whenInterrupted}`;
      if (console.isJson) console.printEvent(errorLine(new AgbSyncError("ABORTED", message), code));
      console.say(message);
    }
    return code;
  }
}

/** Says in JSON what was wrong with a command line that did not come as far as a command. */
export function failUsage(output: Output, message: string): void {
  const console = new Console(process.env, output);
  console.printEvent(errorLine(new UsageError(message), exitCodes.usage));
}

/** A mistake that does not say how to mend it points to the help of its command. */
function withHint(error: unknown, command: string): unknown {
  if (!(error instanceof UsageError) || error.hint !== undefined) return error;
  return new UsageError(error.message, { hint: `see how it is used: agb-sync ${command} --help`, cause: error });
}

function parseVars(written: readonly string[]): Readonly<Record<string, string>> {
  // Without a prototype: `__proto__` is a name like any other.
  const vars: Record<string, string> = Object.create(null);
  for (const text of written) {
    const [, name, value] = /^([A-Za-z_][A-Za-z0-9_.-]*)=([^]*)$/.exec(text) ?? [];
    if (name === undefined || value === undefined) {
      // What follows a `=` may be a secret.
      const shown = text.includes("=") ? `${text.slice(0, text.indexOf("="))}=...` : text;
      throw new UsageError(`--var ${shown} is not of the form NAME=VALUE`, {
        hint: "a name is made of letters, digits, _, . and -, such as --var model=small",
      });
    }
    vars[name] = value;
  }
  return vars;
}

/** Where it was started; undefined when that directory has been removed since. */
function startDirectory(): string | undefined {
  try {
    return process.cwd();
  } catch {
    return undefined;
  }
}

function workingDirectory(start: string | undefined, named: string | undefined): string {
  if (start === undefined && (named === undefined || !isAbsolute(named))) {
    throw new AgbSyncError("LOCAL_FAILED", "the directory that agb-sync was started in is not there any more", {
      hint: "change to one that is, or name one: agb-sync -C /absolute/path",
    });
  }
  return named === undefined ? (start ?? "/") : directoryAt(start ?? "/", named);
}

function directoryAt(cwd: string, named: string): string {
  const directory = resolve(cwd, named);
  try {
    if (statSync(directory).isDirectory()) return directory;
  } catch (cause) {
    throw new UsageError(`-C ${named}: ${localFault(cause)?.message ?? messageOf(cause)}`, { cause });
  }
  throw new UsageError(`-C ${named}: it is not a directory`);
}
