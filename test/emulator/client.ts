import { once } from "node:events";
import { request } from "node:http";
import { text } from "node:stream/consumers";

/** One server and its key. */
export type Endpoint = { readonly url: string; readonly apiKey: string };

/** One call of the service, without any code of the product: its envelope (protocol §2). */
export async function call(
  { url, apiKey }: Endpoint,
  path: string,
  body?: Readonly<Record<string, unknown>>,
): Promise<{ success: boolean; code: string; message: string; data: unknown }> {
  const response = await fetch(`${url}${path}`, {
    method: body === undefined ? "GET" : "POST",
    headers: { authorization: `Bearer ${apiKey}`, "content-type": "application/json" },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return JSON.parse(await response.text());
}

/** A new session. */
export async function createSession(endpoint: Endpoint, body: Readonly<Record<string, unknown>> = {}): Promise<string> {
  return textOf((await call(endpoint, "/mcp/createSession?imageId=agb-code-space-1", body)).data, "sessionId");
}

export async function release(endpoint: Endpoint, sessionId: string): Promise<boolean> {
  return (await call(endpoint, "/mcp/releaseSessionAsync", { sessionId })).success;
}

/** What a tool answers, with `!` before what is an error (protocol §5.1). */
export async function callTool(
  endpoint: Endpoint,
  sessionId: string,
  name: string,
  args: Readonly<Record<string, unknown>>,
): Promise<string> {
  const { success, message, data } = await call(endpoint, "/mcp?autoGenSession=false", {
    sessionId,
    name,
    args: JSON.stringify(args),
  });
  if (!success) return `!${message}`;
  const [content] = listOf(data, "content");
  return `${fieldOf(data, "isError") === true ? "!" : ""}${textOf(content, "text")}`;
}

export type Sent = {
  readonly method?: string;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
};

/** One request with exactly these headers, which fetch would not let us choose; no body unless there is one. */
export async function sendRaw(
  { url }: { readonly url: string },
  { method = "POST", path, headers = {} }: Sent,
  body?: string,
) {
  const outgoing = request(`${url}${path}`, { method, headers, agent: false });
  outgoing.on("error", () => {}).end(body);
  const [answer] = await once(outgoing, "response");
  return { status: Number(answer.statusCode), headers: answer.headers, text: await text(answer) };
}

/** The same by the session's own link (protocol §5.2); the emulator must offer it. */
export async function callLink(
  endpoint: Endpoint,
  sessionId: string,
  tool: string,
  args: Readonly<Record<string, unknown>>,
): Promise<string> {
  const { data } = await call(endpoint, "/mcp/getSession", { sessionId });
  const token = textOf(data, "token");
  const response = await fetch(`${textOf(data, "linkUrl")}/callTool`, {
    method: "POST",
    headers: { "content-type": "application/json", "x-access-token": token },
    body: JSON.stringify({ args, server: "any", requestId: "link-1767225600000-000123456", tool, token }),
  });
  const result = fieldOf(JSON.parse(textOf(JSON.parse(await response.text()), "data")), "result");
  return `${fieldOf(result, "isError") === true ? "!" : ""}${textOf(listOf(result, "content")[0], "text")}`;
}

export function fieldOf(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? Reflect.get(value, name) : undefined;
}

export function textOf(value: unknown, name: string): string {
  const text = fieldOf(value, name);
  return typeof text === "string" ? text : "";
}

export function listOf(value: unknown, name: string): readonly unknown[] {
  const list = fieldOf(value, name);
  return Array.isArray(list) ? list : [];
}
