import { messageOf, TransportError } from "../../errors.ts";
import type { Session } from "../../session.ts";
import { DEFAULT_RETRY_POLICY } from "../retry-policy.ts";
import type { AgbConnection } from "./agb-transport.ts";
import { sessionOver } from "./open-agb-session.ts";
import type { ToolArguments, ToolCaller } from "./tool-caller.ts";
import { toolError } from "./tool-caller.ts";

/** What agb-sync needs of an official SDK's `Session`: its id and a way to call tools. Nothing of the SDK is imported. */
export type SdkSession = {
  readonly sessionId: string;
  callMcpTool(tool: string, args: Record<string, unknown>): Promise<SdkToolResult>;
};

/** The result of an SDK's tool call; `data` is the tool's text. */
export type SdkToolResult = {
  readonly success: boolean;
  readonly data?: unknown;
  readonly errorMessage?: string | undefined;
};

/** Requests at a time, unless the caller says otherwise. */
const DEFAULT_CONCURRENCY = 16;

/**
 * A session that is reached through somebody's SDK object. Its life cycle and its connection stay with the SDK; there
 * is no file transfer, so large contents go in parts.
 */
export function wrapSdkSession(sdk: SdkSession, options: { readonly concurrency?: number } = {}): Session {
  const counters = { requests: 0, bytesSent: 0, bytesReceived: 0, retries: 0 };
  const caller: ToolCaller = {
    async call(tool, args, _timeoutMs, signal) {
      signal.throwIfAborted();
      counters.requests += 1;
      return await callThrough(sdk, tool, args);
    },
  };
  const connection: AgbConnection = {
    sessionId: sdk.sessionId,
    caller,
    transfer: undefined,
    counters,
    timeoutMs: 60_000,
    lacksShell: false,
    close: async () => undefined,
  };
  return sessionOver(connection, {
    origin: "attached",
    concurrency: options.concurrency ?? DEFAULT_CONCURRENCY,
    retryPolicy: DEFAULT_RETRY_POLICY,
    keepAlive: async () => undefined,
  });
}

async function callThrough(sdk: SdkSession, tool: string, args: ToolArguments): Promise<string> {
  let result: SdkToolResult;
  try {
    result = await sdk.callMcpTool(tool, { ...args });
  } catch (cause) {
    throw new TransportError("UNAVAILABLE", `${tool}: ${messageOf(cause)}`, { retryable: true, cause });
  }
  if (!result.success) throw toolError(tool, args, result.errorMessage ?? "");
  return typeof result.data === "string" ? result.data : JSON.stringify(result.data ?? "");
}
