import { messageOf, TransportError, UsageError } from "../../errors.ts";
import { Requests } from "../requests.ts";
import { abortedError, type RetryPolicy, throwIfAborted } from "../retry-policy.ts";
import { shorten } from "../shorten.ts";
import type { AgbConnection } from "./agb-transport.ts";
import { textOf } from "./parse-envelope.ts";
import { sdkFault } from "./sdk-fault.ts";
import type { ToolArguments, ToolCaller } from "./tool-caller.ts";
import { namesIn, toolError } from "./tool-caller.ts";

/**
 * What agb-sync needs of an official SDK's `Session`: its id and a way to call tools. Nothing of the SDK is imported.
 * Those of AGB and AgentBay fit; the id is in `getSessionId()`, `sessionId` or `_sessionId`, whichever there is.
 */
export type SdkSession = {
  getSessionId?(): string;
  readonly sessionId?: string;
  callMcpTool(tool: string, args: Record<string, unknown>): Promise<SdkToolResult>;
};

/** The result of an SDK's tool call; `data` is the tool's text, absent for an empty one. */
export type SdkToolResult = {
  readonly success: boolean;
  readonly data?: unknown;
  readonly errorMessage?: string | undefined;
};

/**
 * A connection through somebody's SDK object. Its life cycle and its connection stay with the SDK; there is no file
 * transfer, so large contents go in parts.
 * @throws {UsageError} for an object without an id.
 */
export function sdkConnection(sdk: SdkSession, concurrency: number, policy: RetryPolicy): AgbConnection {
  const counters = { requests: 0, bytesSent: 0, bytesReceived: 0, retries: 0 };
  const caller: ToolCaller = {
    async call(tool, args, timeoutMs, signal) {
      throwIfAborted(signal);
      counters.requests += 1;
      return await inTime(callThrough(sdk, tool, args), tool, timeoutMs, signal);
    },
  };
  return {
    sessionId: idOf(sdk),
    caller,
    requests: new Requests(counters, { concurrency, policy }),
    transfer: undefined,
    timeoutMs: 60_000,
    shellTool: "shell",
    close: async () => undefined,
  };
}

function idOf(sdk: SdkSession): string {
  // `_sessionId` is private in the SDKs that have it, so the type cannot name it.
  const hidden = "_sessionId" in sdk ? textOf(sdk._sessionId) : "";
  const id = textOf(sdk.getSessionId?.()) || textOf(sdk.sessionId) || hidden;
  if (id !== "") return id;
  throw new UsageError("the object given is no session of an SDK: it has no session id", {
    hint: "hand in the session that the SDK's create or get gave, not the result around it",
  });
}

/** An SDK's call cannot be taken back, and may know no end of its own: after its time nobody waits for it any more. */
async function inTime<T>(call: Promise<T>, tool: string, timeoutMs: number, signal: AbortSignal): Promise<T> {
  let giveUp = (): void => undefined;
  let timer: NodeJS.Timeout | undefined;
  const ended = new Promise<never>((_resolve, reject) => {
    const late = () => reject(new TransportError("TIMEOUT", `${tool}: no answer in time`, { retryable: true }));
    timer = setTimeout(late, timeoutMs);
    giveUp = () => reject(abortedError(signal));
    signal.addEventListener("abort", giveUp, { once: true });
  });
  try {
    return await Promise.race([call, ended]);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", giveUp);
    call.catch(() => undefined);
  }
}

/** An SDK tells most failures of its connection in `errorMessage`; what it throws it has not looked at. */
async function callThrough(sdk: SdkSession, tool: string, args: ToolArguments): Promise<string> {
  let result: SdkToolResult;
  try {
    result = await sdk.callMcpTool(tool, { ...args });
  } catch (cause) {
    const message = messageOf(cause);
    const unknown = new TransportError("UNAVAILABLE", `${tool}: ${shorten(message)}`, { retryable: true, cause });
    throw sdkFault(tool, message, namesIn(args), cause) ?? unknown;
  }
  const { success, data, errorMessage = "" } = result;
  if (!success) throw sdkFault(tool, errorMessage, namesIn(args)) ?? toolError(tool, args, errorMessage);
  if (data === undefined || data === null) return "";
  return typeof data === "string" ? data : JSON.stringify(data);
}
