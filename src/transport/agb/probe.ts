import type { ErrorCode } from "../../errors.ts";
import { hasCode, TransportError } from "../../errors.ts";
import { runMarked } from "../run-marked.ts";
import { shellProgram, words } from "../shell-program.ts";
import type { SessionProbe, ShellRequest, ShellResult } from "../transport.ts";
import probe from "./programs/probe.sh.generated.js";

type Shell = (request: ShellRequest, signal: AbortSignal) => Promise<ShellResult>;

/** Programs whose presence decides how work is done. */
const programs = [
  "base64",
  "stat",
  "sha256sum",
  "find",
  "sort",
  "comm",
  "xargs",
  "tar",
  "gzip",
  "head",
  "tail",
  "wc",
  "cut",
  "readlink",
  "tr",
  "sed",
  "awk",
  "grep",
  "mv",
  "nohup",
  "setsid",
  "perl",
  "python3",
];

/** Without these files are handled by the file tools, although there is a shell. */
const needed = ["base64", "stat", "sha256sum", "mv", "readlink"];

const noShell: SessionProbe = { shell: false, commands: new Set(), transfer: false };

/** Failures that no other try mends. */
const final: ReadonlySet<ErrorCode> = new Set([
  "BAD_API_KEY",
  "ACCESS_DENIED",
  "UNREACHABLE",
  "SESSION_NOT_FOUND",
  "SESSION_GONE",
  "ABORTED",
]);

/** The session knows its shell, and that failed: another question may go through. */
class BrokenShell extends TransportError {
  constructor(cause: TransportError) {
    super("UNAVAILABLE", `the shell of the session does not work: ${cause.message}`, {
      hint: "try again, or take another session",
      retryable: true,
      cause,
    });
  }
}

/** True when the tool failed, as opposed to the way to it, which has been tried often enough by then. */
export function isOfShell(error: TransportError): boolean {
  return error instanceof BrokenShell;
}

/**
 * One read-only command that finds out what a session can do (protocol §7). Only a session that does not know the tool
 * has no shell. One that knows it and fails is in trouble: without its shell, modes would be given up, those of
 * secrets too.
 * @throws {TransportError} `UNAVAILABLE`, retryable, when the shell does not work.
 */
export async function probeShell(shell: Shell, signal: AbortSignal): Promise<SessionProbe> {
  const command = shellProgram({ [words]: programs }, probe);
  let text: string;
  try {
    text = await runMarked(
      shell,
      { command, timeoutMs: 20_000, repeatable: true, mustBeWhole: true },
      "look at the session",
      signal,
    );
  } catch (error) {
    if (hasCode(error, "NOT_POSSIBLE_HERE")) return noShell;
    if (!(error instanceof TransportError) || error.retryable || final.has(error.code)) throw error;
    throw new BrokenShell(error);
  }
  const lines = text.split("\n");
  const said = (kind: string) =>
    lines.flatMap((line) => (line.startsWith(`${kind} `) ? [line.slice(kind.length + 1)] : []));
  const [user = ""] = said("user");
  return {
    shell: true,
    commands: new Set([...said("has"), ...said("is")]),
    transfer: false,
    ...(/^\d+$/.test(user) ? { userId: Number(user) } : {}),
  };
}

/** True when files can be handled by commands alone. */
export function handlesFiles(probe: SessionProbe): boolean {
  return probe.shell && needed.every((program) => probe.commands.has(program));
}
