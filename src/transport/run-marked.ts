import { randomBytes } from "node:crypto";
import type { ErrorCode } from "../errors.ts";
import { TransportError } from "../errors.ts";
import marked from "./programs/marked.sh.generated.js";
import { shellProgram } from "./shell-program.ts";
import { shorten } from "./shorten.ts";
import { codeOfStderr } from "./stderr-reason.ts";
import type { ShellRequest, ShellResult, Transport } from "./transport.ts";

/** The transport's shell. @throws {TransportError} `NOT_POSSIBLE_HERE` where there is none. */
export function shellOf({ shell }: Pick<Transport, "shell">): NonNullable<Transport["shell"]> {
  if (shell === undefined) throw withoutShell();
  return shell;
}

export function withoutShell(): TransportError {
  return new TransportError("NOT_POSSIBLE_HERE", "the session has no shell");
}

/** What to do about a disk that is full in the session. */
export const NO_SPACE_HINT = "make room on the disk of the session, then apply again; finished steps are not repeated";

export type MarkedRequest = Omit<ShellRequest, "check" | "what"> & {
  /** An answer that is cut short is asked for again, like one that is lost; else that is the caller's to decide. */
  readonly mustBeWhole?: boolean;
};

/**
 * Runs a command whose standard output is ASCII, and believes it only with our own end marker, its status and its byte
 * count behind it (S39). Gives that output. The reason of a failure comes behind the marker: not every form of an answer
 * has a place for it.
 * @throws {TransportError} `BAD_ANSWER` without the marker; by the text of stderr when the command failed.
 */
export async function runMarked(
  shell: (request: ShellRequest, signal: AbortSignal) => Promise<ShellResult>,
  request: MarkedRequest,
  what: string,
  signal: AbortSignal,
): Promise<string> {
  const marker = `agb-sync-${randomBytes(9).toString("hex")}`;
  const command = shellProgram({ MARKER: marker }, `work() {\n${request.command}\n}\n`, marked);
  const wholeIn = ({ stdout }: ShellResult) => {
    const match = new RegExp(`^([\\s\\S]*)\\n${marker} (\\d+) (\\d+)[ \\t\\r]*(?:\\n([\\s\\S]*))?$`).exec(stdout);
    const output = match?.[1] ?? "";
    if (match === null || output.length !== Number(match[3])) {
      throw new TransportError("BAD_ANSWER", `${what}: the answer of the shell is cut short`, { retryable: true });
    }
    return { output, status: match[2] ?? "", reason: match[4] ?? "" };
  };
  const check = request.mustBeWhole === true ? { check: (result: ShellResult) => void wholeIn(result) } : {};
  const result = await shell({ what, ...request, command, ...check }, signal);
  const { output, status, reason } = wholeIn(result);
  if (status === "0") return output;
  const code = codeOfStderr(reason);
  const hint = hints[code];
  throw new TransportError(
    code,
    `${what}: ${shorten(reason) || `status ${status}`}`,
    hint === undefined ? {} : { hint },
  );
}

const hints: Partial<Record<ErrorCode, string>> = {
  PERMISSION_DENIED: "choose a root that the session's user may write, such as /tmp/workspace",
  NO_SPACE: NO_SPACE_HINT,
};
