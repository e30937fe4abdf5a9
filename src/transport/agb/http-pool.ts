import { Readable } from "node:stream";
import { brotliDecompressSync, gunzipSync, inflateSync } from "node:zlib";
import type { Dispatcher } from "undici";
import { Agent, EnvHttpProxyAgent } from "undici";
import { messageOf, TransportError } from "../../errors.ts";
import { throwIfAborted } from "../retry-policy.ts";
import type { Counters } from "../transport.ts";
import { foreignAnswer } from "./foreign-answer.ts";
import { type Proxies, type Proxy, proxiesFrom } from "./proxy.ts";

/** Connections kept open; more calls than this at a time wait for one. */
const CONNECTIONS = 64;
/** Longest answer that is read into memory: 48 MiB of base64 and JSON around a listing of a million files. */
const MAX_ANSWER_BYTES = 64 * 1024 * 1024;
/** Slowest that a long body may go: 512 kbit a second. */
const FLOOR_BYTES_PER_SECOND = 64_000;
/** What the system may hold of a body that seems to be sent. */
const BUFFERED_BYTES = 256 * 1024;
/** Longer ones would end at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

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
  readonly body?: string | LongBody;
  /**
   * For the whole of it: connecting, sending, headers and the last byte of the answer. A long body has the time that its
   * bytes take at the floor rate besides, and must not stand still for so long.
   */
  readonly timeoutMs: number;
};

/** A body that is sent as it is read. */
export type LongBody = {
  readonly sizeBytes: number;
  readonly chunks: AsyncIterable<Uint8Array>;
  /** Told of each piece that went on its way. */
  readonly onSent?: () => void;
};

/** Keep-alive connections to the service, and what went over them. */
export class HttpPool {
  readonly counters: Counters;
  readonly #direct: Dispatcher;
  readonly #proxied: Dispatcher | undefined;
  readonly #proxies: Proxies;

  constructor(counters: Counters, env: Readonly<Record<string, string | undefined>>) {
    this.counters = counters;
    const options = { connections: CONNECTIONS, keepAliveTimeout: 60_000, pipelining: 1 };
    this.#direct = new Agent(options);
    this.#proxies = proxiesFrom(env);
    const { http, https } = this.#proxies;
    const isUsed = http !== undefined || https !== undefined;
    const urls = { httpProxy: http?.url ?? "", httpsProxy: https?.url ?? "" };
    // Which way a request takes is decided here.
    this.#proxied = isUsed ? new EnvHttpProxyAgent({ ...options, ...urls, noProxy: "" }) : undefined;
  }

  /** One request, one answer. @throws {TransportError} `UNREACHABLE`, `UNAVAILABLE`, `TIMEOUT`, `BAD_ANSWER`. */
  async send(url: string, options: HttpRequest, signal: AbortSignal): Promise<HttpAnswer> {
    throwIfAborted(signal);
    const { method, headers, body, timeoutMs } = options;
    const target = new URL(url);
    const { origin, pathname, search, host } = target;
    const proxy = this.#proxies.of(target);
    const dispatcher = (proxy === undefined ? undefined : this.#proxied) ?? this.#direct;
    const time = new CallTime(timeoutMs, typeof body === "object" ? body.sizeBytes : 0, signal);
    this.counters.requests += 1;
    if (typeof body === "string") this.counters.bytesSent += Buffer.byteLength(body);
    try {
      const response = await dispatcher.request({
        origin,
        path: `${pathname}${search}`,
        method,
        headers: { ...headers },
        body: typeof body === "object" ? this.#streamOf(body, time) : (body ?? null),
        // One time over everything is kept here: those of undici begin anew with every byte.
        headersTimeout: 0,
        bodyTimeout: 0,
        signal: time.signal,
      });
      const answer = await this.#read(response.body);
      return {
        status: response.statusCode,
        body: unpacked(answer, firstOf(response.headers["content-encoding"])),
        retryAfterMs: retryAfter(response.headers["retry-after"]),
        location: firstOf(response.headers["location"]),
      };
    } catch (error) {
      if (error instanceof TransportError) throw error;
      throwIfAborted(signal);
      if (time.isOver) throw tooLate(proxy === undefined ? host : `${host} (by the proxy ${proxy.shown})`, error);
      throw (proxy && proxyError(error, proxy, host)) ?? networkError(error, url);
    } finally {
      time.free();
    }
  }

  async #read(body: AsyncIterable<unknown> & { destroy(): void }): Promise<Buffer> {
    const chunks: Uint8Array[] = [];
    let sizeBytes = 0;
    for await (const chunk of body) {
      if (!(chunk instanceof Uint8Array)) continue;
      sizeBytes += chunk.byteLength;
      if (sizeBytes > MAX_ANSWER_BYTES) throw tooLong();
      chunks.push(chunk);
    }
    this.counters.bytesReceived += sizeBytes;
    return Buffer.concat(chunks);
  }

  #streamOf({ chunks, onSent }: LongBody, time: CallTime): Readable {
    const { counters } = this;
    const counted = async function* () {
      for await (const chunk of chunks) {
        counters.bytesSent += chunk.byteLength;
        yield chunk;
        time.moved();
        onSent?.();
      }
    };
    return Readable.from(counted(), { objectMode: false });
  }

  async close(): Promise<void> {
    await Promise.all([this.#direct.close(), this.#proxied?.close()]);
  }
}

/** The time that one call may take. */
class CallTime {
  readonly #controller = new AbortController();
  readonly #outer: AbortSignal;
  readonly #longest: NodeJS.Timeout;
  /** For a long body: it must not stand still. */
  readonly #still: NodeJS.Timeout | undefined;
  readonly #stop = () => this.#controller.abort(this.#outer.reason);
  isOver = false;

  constructor(timeoutMs: number, bodyBytes: number, outer: AbortSignal) {
    this.#outer = outer;
    const end = () => {
      this.isOver = true;
      this.#controller.abort();
    };
    const after = (bytes: number) => {
      const ms = timeoutMs + (bytes * 1000) / FLOOR_BYTES_PER_SECOND;
      return setTimeout(end, Math.min(LONGEST_TIMER_MS, ms));
    };
    this.#longest = after(bodyBytes);
    this.#still = bodyBytes === 0 ? undefined : after(Math.min(bodyBytes, BUFFERED_BYTES));
    outer.addEventListener("abort", this.#stop, { once: true });
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  moved(): void {
    this.#still?.refresh();
  }

  free(): void {
    clearTimeout(this.#longest);
    clearTimeout(this.#still);
    this.#outer.removeEventListener("abort", this.#stop);
  }
}

/** Nobody asked for a packed answer; one that comes all the same is unpacked up to the same length. */
function unpacked(body: Buffer, encoding: string | undefined): Buffer {
  const unpack = encoding === undefined ? undefined : unpackers[encoding.trim().toLowerCase()];
  if (unpack === undefined || body.byteLength === 0) return body;
  try {
    return unpack(body, { maxOutputLength: MAX_ANSWER_BYTES });
  } catch (error) {
    if (codeOf(error) === "ERR_BUFFER_TOO_LARGE") throw tooLong();
    throw new TransportError("BAD_ANSWER", `an answer of the service cannot be unpacked: ${messageOf(error)}`, {
      retryable: true,
      cause: error,
    });
  }
}

const unpackers: Readonly<Record<string, typeof gunzipSync>> = {
  gzip: gunzipSync,
  "x-gzip": gunzipSync,
  deflate: inflateSync,
  br: brotliDecompressSync,
};

function tooLong(): TransportError {
  const mebibytes = MAX_ANSWER_BYTES / 1024 / 1024;
  return new TransportError("BAD_ANSWER", `the service sent more than ${mebibytes} MiB in one answer`, {
    hint: "declare a smaller part of the workspace, or ignore what is not needed",
  });
}

function tooLate(host: string, cause: unknown): TransportError {
  return new TransportError("TIMEOUT", `${host} did not answer in time`, {
    hint: "try again; finished steps are not repeated. AGB_TIMEOUT_MS says how long one request may take",
    cause,
    retryable: true,
  });
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
  CERT_NOT_YET_VALID: "its certificate is not valid yet: look at the clock of this machine",
  ERR_TLS_CERT_ALTNAME_INVALID: "its certificate is for another host",
  ...Object.fromEntries(
    [
      "DEPTH_ZERO_SELF_SIGNED_CERT",
      "SELF_SIGNED_CERT_IN_CHAIN",
      "UNABLE_TO_GET_ISSUER_CERT",
      "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
      "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
    ].map((code) => [code, "its certificate is not trusted (NODE_EXTRA_CA_CERTS names a file of further authorities)"]),
  ),
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
  return new TransportError("UNAVAILABLE", `the connection to ${host} broke: ${messageOf(error)}`, {
    hint: "try again; finished steps are not repeated",
    cause: error,
    retryable: true,
  });
}

/** What keeps a request from getting as far as its host is the proxy's; what comes later is the host's. */
function proxyError(error: unknown, { variable, shown }: Proxy, host: string): TransportError | undefined {
  const code = codeOf(error);
  const status = /Proxy response \((\d+)\)/.exec(messageOf(error))?.[1];
  const hint = `check ${variable}, or name ${host} in NO_PROXY`;
  if (status !== undefined) {
    const refused =
      status === "407" ? "does not accept its user and password" : `does not lead to ${host}: HTTP ${status}`;
    return new TransportError("UNREACHABLE", `the proxy ${shown} ${refused}`, { hint, cause: error });
  }
  const reason = unreachable[code] ?? (notTls.has(code) ? "it does not speak TLS" : undefined);
  if (reason === undefined) return undefined;
  return new TransportError("UNREACHABLE", `cannot reach the proxy ${shown} on the way to ${host}: ${reason}`, {
    hint,
    cause: error,
    retryable: code === "EAI_AGAIN" || code === "UND_ERR_CONNECT_TIMEOUT",
  });
}

function codeOf(error: unknown): string {
  for (let current = error; current instanceof Error; current = current.cause) {
    if ("code" in current && typeof current.code === "string") return current.code;
    if (current instanceof AggregateError && current.errors[0] instanceof Error) return codeOf(current.errors[0]);
  }
  return "";
}
