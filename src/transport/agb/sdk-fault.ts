import { TransportError } from "../../errors.ts";
import { shorten } from "../shorten.ts";
import { withoutNames } from "./error-text.ts";
import { isBusy, isWebPage } from "./parse-envelope.ts";

const timeouts =
  /\btimeout of \d+ ?ms exceeded|\bE(?:SOCKET)?TIMEDOUT\b|\bUND_ERR_\w*TIMEOUT\b|aborted due to timeout/i;
const breaks =
  /\b(?:ECONN\w+|EPIPE|EPROTO|EHOSTUNREACH|ENETUNREACH|ENETDOWN|ENOTFOUND|EAI_AGAIN|UND_ERR_\w+)\b|socket hang up|network error|fetch failed|other side closed|returned null response/i;
const statuses = /\b(?:status(?: code)?|HTTP(?: error| status)?(?: code)?)[ :=]*([45]\d\d)\b|^\s*([45]\d\d)\b/i;
const statusTexts =
  /^\W*(?:bad gateway|service unavailable|gateway time-?out|internal server error|too many requests|request time-?out)\b/i;

/**
 * The failure of the way to the service that an SDK tells in a text instead of throwing: `success:false` with an HTML
 * page, the message of its HTTP client, or `Failed to call MCP tool`. Undefined for what a tool said.
 * `names` are what the call named; they may hold any words.
 */
export function sdkFault(
  tool: string,
  text: string,
  names: readonly string[],
  cause?: unknown,
): TransportError | undefined {
  const more = { retryable: true, ...(cause === undefined ? {} : { cause }) };
  if (isWebPage(text)) return new TransportError("UNAVAILABLE", `${tool}: a web page came instead of an answer`, more);
  if (/Execution failed\. Error code:|, error: |^\s*\{/.test(text)) return undefined;
  const bare = withoutNames(text, names);
  const message = `${tool}: ${shorten(text)}`;
  if (timeouts.test(bare)) return new TransportError("TIMEOUT", message, more);
  const match = statuses.exec(bare);
  const status = Number(match?.[1] ?? match?.[2] ?? 0);
  if (status === 429 || /^\W*too many requests/i.test(bare)) return new TransportError("THROTTLED", message, more);
  const isFault =
    status >= 500 ||
    status === 408 ||
    statusTexts.test(bare) ||
    breaks.test(bare) ||
    isBusy("", bare) ||
    text.startsWith("Failed to call MCP tool");
  return isFault ? new TransportError("UNAVAILABLE", message, more) : undefined;
}
