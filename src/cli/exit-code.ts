import type { ErrorCode } from "../errors.ts";
import { AgbSyncError } from "../errors.ts";

/** The exit codes of agb-sync, in one place (README.md, "Commands"). */
export const exitCodes = {
  done: 0,
  failed: 1,
  changesPending: 2,
  conflicts: 3,
  stale: 4,
  guard: 5,
  usage: 64,
  badManifest: 65,
  unreachable: 69,
  locked: 75,
  timedOut: 124,
  hungUp: 129,
  interrupted: 130,
  terminated: 143,
} as const;

/** The same for people, as the help has them. */
export const exitMeanings: Readonly<Record<(typeof exitCodes)[keyof typeof exitCodes], string>> = {
  0: "done",
  1: "failed, or not complete",
  2: "changes are pending (plan --exit-code, status, verify)",
  3: "conflicts are left",
  4: "the saved plan, or the lock file, no longer holds",
  5: "stopped by a guard before anything was changed",
  64: "wrong usage",
  65: "wrong manifest, or a source is missing",
  69: "the session cannot be reached or is gone",
  75: "locked by another apply",
  124: "the command of run took longer than --timeout",
  129: "the terminal was closed (SIGHUP)",
  130: "interrupted (Ctrl-C)",
  143: "terminated",
};

const byErrorCode: Partial<Record<ErrorCode, number>> = {
  USAGE: exitCodes.usage,
  MANIFEST_INVALID: exitCodes.badManifest,
  MANIFEST_NOT_FOUND: exitCodes.badManifest,
  MANIFEST_TOO_LARGE: exitCodes.badManifest,
  NOT_SUPPORTED_YET: exitCodes.badManifest,
  SOURCE_MISSING: exitCodes.badManifest,
  SOURCE_ESCAPES: exitCodes.badManifest,
  SOURCE_TOO_LARGE: exitCodes.badManifest,
  NO_API_KEY: exitCodes.unreachable,
  BAD_API_KEY: exitCodes.unreachable,
  ACCESS_DENIED: exitCodes.unreachable,
  UNREACHABLE: exitCodes.unreachable,
  UNAVAILABLE: exitCodes.unreachable,
  THROTTLED: exitCodes.unreachable,
  TIMEOUT: exitCodes.unreachable,
  SESSION_NOT_FOUND: exitCodes.unreachable,
  SESSION_GONE: exitCodes.unreachable,
  SESSION_FAILED: exitCodes.unreachable,
  STALE_PLAN: exitCodes.stale,
  STALE_LOCK: exitCodes.stale,
  GUARD: exitCodes.guard,
  LOCKED: exitCodes.locked,
};

/** The exit code for anything that was thrown. */
export function exitCodeOf(error: unknown): number {
  return error instanceof AgbSyncError ? (byErrorCode[error.code] ?? exitCodes.failed) : exitCodes.failed;
}
