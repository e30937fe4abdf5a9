import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { text } from "node:stream/consumers";
import { onTestFinished } from "vitest";
import { AgbClient } from "../../src/transport/agb/agb-client.ts";
import { HttpPool } from "../../src/transport/agb/http-pool.ts";
import { Requests } from "../../src/transport/requests.ts";
import type { RetryPolicy } from "../../src/transport/retry-policy.ts";

/** As patient as the default in tries, without its waits. */
export const quick: RetryPolicy = { attempts: 3, baseDelayMs: 1, maxDelayMs: 2, maxRetryAfterMs: 60_000 };

export type Asked = {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly body: string;
};

/** What is answered: a value as JSON, or text as it is; `hang` never answers, `drop` breaks the connection. */
export type Answer =
  | "hang"
  | "drop"
  | { readonly status?: number; readonly headers?: Record<string, string>; readonly json: unknown }
  | { readonly status?: number; readonly headers?: Record<string, string>; readonly text: string };

export type Loopback = { readonly url: string; readonly host: string; readonly asked: readonly Asked[] };

/** A server on a free port of loopback that ends with the test. */
export async function serve(answer: (asked: Asked, index: number) => Answer): Promise<Loopback> {
  const asked: Asked[] = [];
  const server = createServer((request, response) => {
    void respond(request, response, asked, answer);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  const address = server.address();
  const port = address !== null && typeof address === "object" ? address.port : 0;
  return { url: `http://127.0.0.1:${port}`, host: `127.0.0.1:${port}`, asked };
}

async function respond(
  request: IncomingMessage,
  response: ServerResponse,
  asked: Asked[],
  answer: (asked: Asked, index: number) => Answer,
): Promise<void> {
  const { pathname: path, searchParams: query } = new URL(request.url ?? "/", "http://127.0.0.1");
  const question = { method: request.method ?? "", path, query, body: await text(request) };
  asked.push(question);
  const given = answer(question, asked.length - 1);
  if (given === "hang") return;
  if (given === "drop") {
    request.socket.destroy();
    return;
  }
  response.writeHead(given.status ?? 200, given.headers ?? {});
  response.end("json" in given ? JSON.stringify(given.json) : given.text);
}

/** A client of a server, with a pool that ends with the test. */
export function clientOf({ url }: Pick<Loopback, "url">, options: { readonly timeoutMs?: number } = {}): AgbClient {
  const counters = { requests: 0, bytesSent: 0, bytesReceived: 0, retries: 0 };
  const pool = new HttpPool(counters, {});
  onTestFinished(async () => await pool.close());
  const config = { apiKey: "k", endpoint: url, timeoutMs: options.timeoutMs ?? 10_000 };
  return new AgbClient(config, pool, new Requests(counters, { policy: quick }));
}

/** The answer of a tool on the API route (protocol §5.1). */
export function toolAnswer(content: string, isError = false): Answer {
  return {
    json: { success: true, code: "ok", message: "", data: { content: [{ type: "text", text: content }], isError } },
  };
}

/** An envelope that refuses, with HTTP 200 unless said otherwise (protocol §2). */
export function refusal(
  code: string,
  message: string,
  more: { status?: number; httpStatusCode?: number } = {},
): Answer {
  const { status = 200, httpStatusCode = status } = more;
  return { status, json: { success: false, code, message, httpStatusCode, data: {} } };
}
