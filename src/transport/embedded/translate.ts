import { TransportError } from "../../errors.ts";

const codes: Readonly<Record<string, ConstructorParameters<typeof TransportError>[0]>> = {
  ENOENT: "NOT_FOUND",
  ENOTDIR: "NOT_A_DIRECTORY",
  EISDIR: "IS_A_DIRECTORY",
  EEXIST: "ALREADY_EXISTS",
  ENOTEMPTY: "DIRECTORY_NOT_EMPTY",
  EACCES: "PERMISSION_DENIED",
  EPERM: "PERMISSION_DENIED",
  EROFS: "PERMISSION_DENIED",
  ENOSPC: "NO_SPACE",
  EDQUOT: "NO_SPACE",
  ELOOP: "OUTSIDE_ROOT",
};

/** What the file system said, in the terms of a session. Errors of our own pass unchanged. */
export function translate(error: unknown, path: string): unknown {
  if (!(error instanceof Error) || !("code" in error) || typeof error.code !== "string") return error;
  const code = codes[error.code];
  if (error instanceof TransportError || (code === undefined && !error.code.startsWith("E"))) return error;
  const reason = error.message.replace(/^\w+: /, "").replace(/, \w+ '.*$/s, "");
  return new TransportError(code ?? "TOOL_FAILED", `${path}: ${reason}`, { cause: error });
}
