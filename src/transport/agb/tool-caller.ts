import type { ErrorCode } from "../../errors.ts";
import { hasCode, TransportError } from "../../errors.ts";
import { NO_SPACE_HINT } from "../run-marked.ts";
import { shorten } from "../shorten.ts";
import type { AgbClient } from "./agb-client.ts";
import type { SessionDetails } from "./agb-sessions.ts";
import { codeOfToolText, isUnknownTool } from "./error-text.ts";
import { decoded, errorOf, fieldOf, isSessionLoss, recordOf, sessionGone, textOf } from "./parse-envelope.ts";

/** Arguments of a tool, by their exact names (protocol §6, §7). */
export type ToolArguments = Readonly<Record<string, unknown>>;

/**
 * One way to call the tools of one session: the API route, the link route, or somebody's SDK. Each call is one request,
 * sent at once: limit and repetitions are `Requests`.
 */
export interface ToolCaller {
  /** The text that the tool answers. @throws {TransportError}. */
  call(tool: string, args: ToolArguments, timeoutMs: number, signal: AbortSignal): Promise<string>;
}

/** Tools by way of the service (protocol §5.1). */
export class ApiRoute implements ToolCaller {
  readonly #client: AgbClient;
  readonly #sessionId: string;

  constructor(client: AgbClient, sessionId: string) {
    this.#client = client;
    this.#sessionId = sessionId;
  }

  async call(tool: string, args: ToolArguments, timeoutMs: number, signal: AbortSignal): Promise<string> {
    const envelope = await this.#client.exchange(
      "/mcp",
      {
        query: { autoGenSession: "false" },
        body: { sessionId: this.#sessionId, name: tool, args: JSON.stringify(args) },
        what: `call ${tool}`,
        acceptsFailure: true,
        timeoutMs: Math.min(timeoutMs, this.#client.timeoutMs),
      },
      signal,
    );
    const content =
      recordOf(envelope.data) === undefined ? "" : textOfContent(fieldOf(envelope.data, "content"), "all");
    if (fieldOf(envelope.data, "isError") === true) throw toolError(tool, args, content || envelope.message);
    if (envelope.isSuccess && envelope.status === 200) {
      if (envelope.data === undefined || envelope.data === null) throw noResult(tool);
      return content;
    }
    const text = content || envelope.message || envelope.code;
    if (isUnknownTool(tool, envelope.code)) throw toolError(tool, args, `unknown tool (${text})`);
    const error = errorOf(envelope, `could not call ${tool}`);
    // In the tools' own wrapper the words are the tool's, also where only `message` carries them.
    const isOfTool = error.code === "BAD_ANSWER" || /Execution failed\. Error code:/.test(text);
    throw isOfTool ? toolError(tool, args, text) : error;
  }
}

/**
 * Tools straight in the session (protocol §5.2). When the link fails or does not answer, the API route is taken from
 * then on; a link that is throttled, and a tool that fails or takes too long, leave it as it is.
 */
export class LinkRoute implements ToolCaller {
  readonly #client: AgbClient;
  readonly #details: SessionDetails;
  readonly #api: ToolCaller;
  #isBroken = false;

  constructor(client: AgbClient, details: SessionDetails) {
    this.#client = client;
    this.#details = details;
    this.#api = new ApiRoute(client, details.sessionId);
  }

  async call(tool: string, args: ToolArguments, timeoutMs: number, signal: AbortSignal): Promise<string> {
    const { link, servers } = this.#details;
    const server = servers.get(tool) ?? "";
    if (this.#isBroken || link === undefined || server === "")
      return await this.#api.call(tool, args, timeoutMs, signal);
    try {
      return await this.#callLink(link, server, tool, args, timeoutMs, signal);
    } catch (error) {
      // Whether the call was carried out is not known: the caller decides about repeating it, on the other route.
      if (!(error instanceof TransportError) || !isOfLink(error)) throw error;
      this.#isBroken = true;
      if (error.code === "TIMEOUT") throw error;
      throw new TransportError("UNAVAILABLE", error.message, { retryable: true, cause: error });
    }
  }

  async #callLink(
    link: { readonly url: string; readonly token: string },
    server: string,
    tool: string,
    args: ToolArguments,
    timeoutMs: number,
    signal: AbortSignal,
  ): Promise<string> {
    const requestId = `link-${Date.now()}-${String(Math.floor(Math.random() * 1e9)).padStart(9, "0")}`;
    const answer = await this.#client.pool.send(
      `${link.url}/callTool`,
      {
        method: "POST",
        headers: { "content-type": "application/json", "x-access-token": link.token },
        body: JSON.stringify({ args, server, requestId, tool, token: link.token }),
        timeoutMs: Math.min(timeoutMs, this.#client.timeoutMs),
      },
      signal,
    );
    const { status, retryAfterMs } = answer;
    if (status < 200 || status > 299) {
      throw new TransportError(
        status === 429 ? "THROTTLED" : "UNAVAILABLE",
        `the link to the session answered HTTP ${status}`,
        { retryable: true, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) },
      );
    }
    const result = fieldOf(decoded(fieldOf(decoded(answer.body.toString("utf8")), "data")), "result");
    if (recordOf(result) === undefined) throw noResult(tool);
    const text = textOfContent(fieldOf(result, "content"), "first");
    if (fieldOf(result, "isError") === true) throw toolError(tool, args, text);
    return text;
  }
}

/** True for failures of the way to the session, as opposed to what a tool in it answered. */
function isOfLink(error: TransportError): boolean {
  return error.toolText === undefined && hasCode(error, "UNREACHABLE", "UNAVAILABLE", "BAD_ANSWER", "TIMEOUT");
}

/** All text items joined by newline, else what the first item holds; the link route knows only the first item. */
function textOfContent(content: unknown, which: "all" | "first"): string {
  if (!Array.isArray(content)) return "";
  const items: readonly unknown[] = which === "all" ? content : content.slice(0, 1);
  const texts = items.filter((item) => fieldOf(item, "type") === "text" && typeof fieldOf(item, "text") === "string");
  if (texts.length > 0) return texts.map((item) => textOf(fieldOf(item, "text"))).join("\n");
  const [first] = items;
  if (typeof first === "string") return first;
  return textOf(fieldOf(first, "text")) || textOf(fieldOf(first, "blob")) || textOf(fieldOf(first, "data"));
}

/** What the arguments name in the session: an error text repeats it. */
export function namesIn(args: ToolArguments): readonly string[] {
  return ["path", "source", "destination", "cwd", "command"].map((name) => textOf(args[name]));
}

const hintOf: Partial<Record<ErrorCode, string>> = {
  PERMISSION_DENIED: "choose a root that the session's user may write, such as /tmp/workspace",
  NO_SPACE: NO_SPACE_HINT,
};

/** A tool that said no. The wrapper of the service is taken off; the reason stays. */
export function toolError(tool: string, args: ToolArguments, text: string): TransportError {
  if (isSessionLoss("", text)) {
    return sessionGone(shorten(text));
  }
  const inner = text.replace(/^(?:Error in response: )?Execution failed\. Error code:-?\d+ Error message: /, "");
  const code = codeOfToolText(tool, inner, namesIn(args));
  const hint = hintOf[code];
  return new TransportError(code, `${tool}: ${shorten(inner) || "failed without a reason"}`, {
    toolText: text,
    ...(hint === undefined ? {} : { hint }),
  });
}

function noResult(tool: string): TransportError {
  return new TransportError("BAD_ANSWER", `${tool}: the answer holds no result`, { retryable: true });
}
