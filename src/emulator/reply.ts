import { randomUUID } from "node:crypto";
import type { JsonRecord } from "./session/json-values.ts";

/** What goes back over HTTP: text, or a file of this machine that is streamed. */
export type Reply = {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | { readonly file: string; readonly sizeBytes: number };
};

const json = { "content-type": "application/json" };

/** A success in the envelope of protocol §2; `beside` are fields next to `data`, such as `nextToken`. */
export function succeed(data: unknown, beside: JsonRecord = {}): Reply {
  const requestId = randomUUID();
  const envelope = { code: "ok", requestId, success: true, httpStatusCode: 200, message: "", data, ...beside };
  return { status: 200, headers: json, body: JSON.stringify(envelope) };
}

/** A refusal in the same envelope. Some arrive with HTTP status 200 (protocol §2, §5.1). */
export function refuse(status: number, code: string, message: string): Reply {
  const envelope = { code, requestId: randomUUID(), success: false, httpStatusCode: status, message, data: {} };
  return { status, headers: json, body: JSON.stringify(envelope) };
}

/** Any object as the whole body, without the envelope. */
export function plain(status: number, value: JsonRecord): Reply {
  return { status, headers: json, body: JSON.stringify(value) };
}

export const sessionNotFound = (): Reply =>
  refuse(400, "InvalidMcpSession.NotFound", "Resource [McpSession] is not found");

/** Tool calls name the loss of a session differently (protocol §5.1, §10). */
export const toolSessionNotFound = (): Reply =>
  refuse(200, "InvalidSession.NotFound", "Resource [Session] is not found");

/** What an account is told that has as many as it may have (protocol §4.1, §10). */
export function quotaExceeded(): Reply {
  const errMsg = "quota exceeded";
  return succeed({ success: false, errMsg }, { success: false, code: "QuotaExceeded", message: errMsg });
}
