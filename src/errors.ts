/** Every code an error of agb-sync can carry. Codes are stable; messages may be reworded. */
export type ErrorCode =
  // usage and manifest
  | "USAGE"
  | "MANIFEST_INVALID"
  | "MANIFEST_NOT_FOUND"
  | "MANIFEST_TOO_LARGE"
  | "NOT_SUPPORTED_YET"
  // local sources
  | "SOURCE_MISSING"
  | "SOURCE_UNREADABLE"
  | "SOURCE_CHANGED"
  | "SOURCE_ESCAPES"
  | "SOURCE_TOO_LARGE"
  // what holds ${session.id}, where no session is known
  | "SESSION_ID_NEEDED"
  // other files, directories and ports of this machine
  | "LOCAL_FAILED"
  // session and transport
  | "NO_API_KEY"
  | "BAD_API_KEY"
  | "ACCESS_DENIED"
  | "UNREACHABLE"
  | "SESSION_NOT_FOUND"
  | "SESSION_GONE"
  | "SESSION_FAILED"
  | "UNAVAILABLE"
  | "THROTTLED"
  | "TIMEOUT"
  | "NOT_FOUND"
  | "ALREADY_EXISTS"
  | "PERMISSION_DENIED"
  | "IS_A_DIRECTORY"
  | "NOT_A_DIRECTORY"
  | "DIRECTORY_NOT_EMPTY"
  | "NO_SPACE"
  | "OUTSIDE_ROOT"
  | "NOT_POSSIBLE_HERE"
  | "BAD_ANSWER"
  | "TOOL_FAILED"
  // reconciliation
  | "STALE_PLAN"
  | "STALE_LOCK"
  | "GUARD"
  | "LOCKED"
  | "VERIFY_FAILED"
  | "COMMAND_FAILED"
  | "ABORTED"
  | "INTERNAL";

/** What an error may carry beside its code and message. */
export type ErrorDetails = {
  /** One imperative sentence: what to do next. */
  readonly hint?: string;
  readonly cause?: unknown;
};

/** The base of every error that agb-sync throws on purpose: stable `code`, message for people, and a hint. */
export class AgbSyncError extends Error {
  override readonly name: string = "AgbSyncError";
  readonly code: ErrorCode;
  readonly hint: string | undefined;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    this.hint = details.hint;
  }
}

/** A wrong option, argument or combination of them. Exit 64. */
export class UsageError extends AgbSyncError {
  override readonly name = "UsageError";
  constructor(message: string, details: ErrorDetails = {}) {
    super("USAGE", message, details);
  }
}

/** A call to the session that did not do what it was asked; `retryable` says whether the same call may go through later. */
export class TransportError extends AgbSyncError {
  override readonly name = "TransportError";
  readonly retryable: boolean;
  /** What the server asked to wait before the next try (Retry-After), if it said so. */
  readonly retryAfterMs: number | undefined;
  /** What the tool itself said, unshortened; for reading a command's status out of it, never for people. */
  readonly toolText: string | undefined;

  constructor(
    code: ErrorCode,
    message: string,
    details: ErrorDetails & {
      readonly retryable?: boolean;
      readonly retryAfterMs?: number;
      readonly toolText?: string;
    } = {},
  ) {
    super(code, message, details);
    this.retryable = details.retryable ?? false;
    this.retryAfterMs = details.retryAfterMs;
    this.toolText = details.toolText;
  }
}

/** Stopped before anything happened because going on could destroy something. Exit 5. */
export class GuardError extends AgbSyncError {
  override readonly name = "GuardError";
  constructor(message: string, details: ErrorDetails = {}) {
    super("GUARD", message, details);
  }
}

/** True for an AgbSyncError with one of `codes`. */
export function hasCode(error: unknown, ...codes: readonly ErrorCode[]): error is AgbSyncError {
  return error instanceof AgbSyncError && codes.includes(error.code);
}

/** True for an error of the operating system with one of `codes`, such as `ENOENT`. */
export function hasErrno(error: unknown, ...codes: readonly string[]): boolean {
  return error instanceof Error && "code" in error && typeof error.code === "string" && codes.includes(error.code);
}

/** The message of anything that was thrown, without a stack. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
