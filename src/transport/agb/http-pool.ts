import { setMaxListeners } from "node:events";
import { Readable } from "node:stream";
import type { Dispatcher } from "undici";
import { Agent, EnvHttpProxyAgent } from "undici";
import type { ErrorCode } from "../../errors.ts";
import { messageOf, TransportError } from "../../errors.ts";
import type { Counters } from "../transport.ts";
import { foreignAnswer } from "./foreign-answer.ts";

/** Connections kept open; more calls than this at a time wait for one. */
const CONNECTIONS = 64;
/** Longest answer that is read into memory. */
const MAX_ANSWER_BYTES = 256 * 1024 * 1024;

export type HttpAnswer = {
  readonly status: number;
  readonly body: Buffer;
  readonly retryAfterMs: number | undefined;
  /** Where a redirect leads; none is followed, as the key would go with it. */
  readonly location?: string | undefined;
};

export type HttpRequest = {
  readonly method: "GET" | "POST" | "PUT";
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string | AsyncIterable<Uint8Array>;
  readonly timeoutMs: number;
};

/** Keep-alive connections to the service, and what went over them. */
export class HttpPool {
  readonly counters: Counters;
  readonly #dispatcher: Dispatcher;

  constructor(counters: Counters, env: Readonly<Record<string, string | undefined>>) {
    this.counters = counters;
    const options = { connections: CONNECTIONS, keepAliveTimeout: 60_000, pipelining: 1 };
    const hasProxy = ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"].some((name) => env[name]);
    const noProxy = [env["NO_PROXY"] ?? env["no_proxy"], "127.0.0.1", "localhost", "::1"].filter(Boolean).join(",");
    this.#dispatcher = hasProxy ? new EnvHttpProxyAgent({ ...options, noProxy }) : new Agent(options);
  }

  /** One request, one answer. @throws {TransportError} `UNREACHABLE`, `UNAVAILABLE`, `TIMEOUT`, `BAD_ANSWER`. */
  async send(url: string, options: HttpRequest, signal: AbortSignal): Promise<HttpAnswer> {
    signal.throwIfAborted();
    // One signal stops many calls at once: that many listeners are meant, and no leak to warn of.
    setMaxListeners(0, signal);
    this.counters.requests += 1;
    const { method, headers, body, timeoutMs } = options;
    if (typeof body === "string") this.counters.bytesSent += Buffer.byteLength(body);
    try {
      const { origin, pathname, search } = new URL(url);
      const response = await this.#dispatcher.request({
        origin,
        path: `${pathname}${search}`,
        method,
        headers: { ...headers },
        body:
          typeof body === "string" || body === undefined
            ? (body ?? null)
            : Readable.from(counted(body, this.counters), { objectMode: false }),
        headersTimeout: timeoutMs,
        bodyTimeout: timeoutMs,
        signal,
      });
      const chunks: Uint8Array[] = [];
      let sizeBytes = 0;
      for await (const chunk of response.body) {
        const bytes: Uint8Array = chunk;
        sizeBytes += bytes.byteLength;
        if (sizeBytes > MAX_ANSWER_BYTES) {
          throw new TransportError("BAD_ANSWER", `the service sent more than ${MAX_ANSWER_BYTES} bytes at once`, {
            hint: "declare a smaller part of the workspace, or ignore what is not needed",
          });
        }
        chunks.push(bytes);
      }
      this.counters.bytesReceived += sizeBytes;
      return {
        status: response.statusCode,
        body: Buffer.concat(chunks),
        retryAfterMs: retryAfter(response.headers["retry-after"]),
        location: firstOf(response.headers["location"]),
      };
    } catch (error) {
      if (error instanceof TransportError) throw error;
      signal.throwIfAborted();
      throw networkError(error, url);
    }
  }

  async close(): Promise<void> {
    await this.#dispatcher.close();
  }
}

async function* counted(body: AsyncIterable<Uint8Array>, counters: Counters): AsyncIterable<Uint8Array> {
  for await (const chunk of body) {
    counters.bytesSent += chunk.byteLength;
    yield chunk;
  }
}

function firstOf(header: string | string[] | undefined): string | undefined {
  return Array.isArray(header) ? header[0] : header;
}

function retryAfter(header: string | string[] | undefined): number | undefined {
  const text = firstOf(header);
  if (text === undefined) return undefined;
  const seconds = Number(text);
  if (Number.isFinite(seconds)) return Math.max(0, seconds * 1000);
  const date = Date.parse(text);
  return Number.isNaN(date) ? undefined : Math.max(0, date - Date.now());
}

/** Connections that never came about cannot have done anything; all others may have. */
const unreachable: Readonly<Record<string, string>> = {
  ECONNREFUSED: "nothing listens there",
  ENOTFOUND: "there is no such host",
  EAI_AGAIN: "the host name cannot be looked up now",
  EHOSTUNREACH: "the host cannot be reached",
  ENETUNREACH: "the network cannot be reached",
  UND_ERR_CONNECT_TIMEOUT: "it does not answer",
  CERT_HAS_EXPIRED: "its certificate has expired",
  DEPTH_ZERO_SELF_SIGNED_CERT: "its certificate is not trusted",
};

/** What the other side of a TLS handshake looks like when it is a plain server. */
const notTls = new Set(["ERR_SSL_WRONG_VERSION_NUMBER", "ERR_SSL_PACKET_LENGTH_TOO_LONG", "EPROTO"]);

function networkError(error: unknown, url: string): TransportError {
  const code = codeOf(error);
  const { host } = new URL(url);
  if (error instanceof Error && /does not match the HTTP/.test(error.message)) {
    return foreignAnswer(host, "it does not speak HTTP");
  }
  if (notTls.has(code)) {
    return new TransportError("UNREACHABLE", `cannot reach ${host}: it does not speak TLS`, {
      hint: `if the server is meant to be without TLS, write AGB_ENDPOINT=http://${host}`,
      cause: error,
    });
  }
  const reason = unreachable[code];
  if (reason !== undefined) {
    return new TransportError("UNREACHABLE", `cannot reach ${host}: ${reason}`, {
      hint: "check AGB_ENDPOINT and the network",
      cause: error,
      retryable: code === "EAI_AGAIN" || code === "UND_ERR_CONNECT_TIMEOUT",
    });
  }
  const isTimeout = code === "UND_ERR_HEADERS_TIMEOUT" || code === "UND_ERR_BODY_TIMEOUT";
  const kind: ErrorCode = isTimeout ? "TIMEOUT" : "UNAVAILABLE";
  return new TransportError(
    kind,
    isTimeout ? `${host} did not answer in time` : `the connection to ${host} broke: ${messageOf(error)}`,
    {
      hint: "try again; finished steps are not repeated",
      cause: error,
      retryable: true,
    },
  );
}

function codeOf(error: unknown): string {
  for (let current = error; current instanceof Error; current = current.cause) {
    if ("code" in current && typeof current.code === "string") return current.code;
    if (current instanceof AggregateError && current.errors[0] instanceof Error) return codeOf(current.errors[0]);
  }
  return "";
}
