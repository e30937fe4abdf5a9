import type { ErrorCode } from "../../errors.ts";
import { hasCode, TransportError } from "../../errors.ts";
import type { AgbClient } from "./agb-client.ts";
import type { SessionDetails } from "./agb-sessions.ts";
import { decoded, errorOf, fieldOf, isSessionLoss, recordOf, shorten, textOf } from "./parse-envelope.ts";

/** Arguments of a tool, by their exact names (protocol §6, §7). */
export type ToolArguments = Readonly<Record<string, unknown>>;

/** One way to call the tools of one session: the API route, the link route, or somebody's SDK. */
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
    const envelope = await this.#client.call(
      "/mcp",
      {
        query: { autoGenSession: "false" },
        body: { sessionId: this.#sessionId, name: tool, args: JSON.stringify(args) },
        what: `call ${tool}`,
        acceptsFailure: true,
        timeoutMs,
      },
      signal,
    );
    const content =
      recordOf(envelope.data) === undefined ? "" : textOfContent(fieldOf(envelope.data, "content"), "all");
    if (fieldOf(envelope.data, "isError") === true) throw toolError(tool, content || envelope.message);
    if (envelope.isSuccess && envelope.status === 200) {
      if (envelope.data === undefined || envelope.data === null) throw noResult(tool);
      return content;
    }
    if (isSessionLoss(envelope.code, envelope.message) || envelope.status !== 200 || content === "") {
      const error = errorOf(envelope, `could not call ${tool}`);
      throw error.code === "BAD_ANSWER" ? toolError(tool, content || envelope.message || envelope.code) : error;
    }
    throw toolError(tool, content);
  }
}

/** Tools straight in the session (protocol §5.2); falls back to the API route for good when the link fails. */
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
      if (hasCode(error, "UNREACHABLE", "UNAVAILABLE", "BAD_ANSWER", "ACCESS_DENIED", "BAD_API_KEY")) {
        this.#isBroken = true;
        throw new TransportError("UNAVAILABLE", error.message, { retryable: true, cause: error });
      }
      throw error;
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
        timeoutMs,
      },
      signal,
    );
    if (answer.status < 200 || answer.status > 299) {
      throw new TransportError("UNAVAILABLE", `the link to the session answered HTTP ${answer.status}`, {
        retryable: true,
      });
    }
    const result = fieldOf(decoded(fieldOf(decoded(answer.body.toString("utf8")), "data")), "result");
    if (recordOf(result) === undefined) throw noResult(tool);
    const text = textOfContent(fieldOf(result, "content"), "first");
    if (fieldOf(result, "isError") === true) throw toolError(tool, text);
    return text;
  }
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

const reasons: readonly (readonly [RegExp, ErrorCode])[] = [
  [/\[?timeout\]?|timed out/i, "TIMEOUT"],
  [/agb-sync: leads outside/, "OUTSIDE_ROOT"],
  [/no space left|disk quota|disk full/i, "NO_SPACE"],
  [/permission denied|operation not permitted|read-only file system/i, "PERMISSION_DENIED"],
  [/not a directory/i, "NOT_A_DIRECTORY"],
  [/directory not empty/i, "DIRECTORY_NOT_EMPTY"],
  [/is a directory/i, "IS_A_DIRECTORY"],
  [/no such file or directory|enoent|file not found|does not exist/i, "NOT_FOUND"],
  [/file exists|already exists|eexist/i, "ALREADY_EXISTS"],
  [/(?:unknown|unsupported) tool|tool .*not (?:found|available|supported)|no such tool/i, "NOT_POSSIBLE_HERE"],
];

/** What a tool's or command's error text means; matched on parts, as whole texts differ (protocol §5.4). */
export function codeOfText(text: string): ErrorCode {
  return reasons.find(([pattern]) => pattern.test(text))?.[1] ?? "TOOL_FAILED";
}

/** A tool that said no. The wrapper of the service is taken off; the reason stays. */
export function toolError(tool: string, text: string): TransportError {
  if (isSessionLoss("", text) && !text.includes("/")) {
    return new TransportError("SESSION_GONE", `the session is gone (${shorten(text)})`, {
      hint: "sessions live 30 minutes at most; apply without --session to get a new one",
    });
  }
  const inner = text.replace(/^(?:Error in response: )?Execution failed\. Error code:-?\d+ Error message: /, "");
  const code = codeOfText(inner);
  const hint =
    code === "PERMISSION_DENIED"
      ? "choose a root that the session's user may write, such as /tmp/workspace"
      : undefined;
  return new TransportError(code, `${tool}: ${shorten(inner) || "failed without a reason"}`, {
    toolText: text,
    ...(hint === undefined ? {} : { hint }),
  });
}

function noResult(tool: string): TransportError {
  return new TransportError("BAD_ANSWER", `${tool}: the answer holds no result`, { retryable: true });
}
