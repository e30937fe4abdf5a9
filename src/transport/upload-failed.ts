import { hasCode } from "../errors.ts";

/**
 * True when an upload did not come about, for good or after every try: the store is another server than the session,
 * which may well take the same bytes in another way.
 */
export function isFailedUpload(error: unknown): boolean {
  return hasCode(error, "NOT_POSSIBLE_HERE", "TIMEOUT", "UNAVAILABLE", "THROTTLED");
}
