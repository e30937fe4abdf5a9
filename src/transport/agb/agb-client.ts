import { hasCode, TransportError } from "../../errors.ts";
import type { Repeats, Requests } from "../requests.ts";
import type { AgbConfig } from "./agb-config.ts";
import { describeForeign, foreignAnswer } from "./foreign-answer.ts";
import type { HttpPool } from "./http-pool.ts";
import type { Envelope } from "./parse-envelope.ts";
import { errorOf, parseEnvelope } from "./parse-envelope.ts";

export type CallOptions = {
  readonly method?: "GET" | "POST";
  /** Undefined values are left out. */
  readonly query?: Readonly<Record<string, string | undefined>>;
  readonly body?: Readonly<Record<string, unknown>>;
  /** What is being done, for messages: `create the session`. */
  readonly what: string;
  /** True: the caller judges success itself. */
  readonly acceptsFailure?: boolean;
  readonly timeoutMs?: number;
};

/** One account at one endpoint: sends calls with their key and reads their envelopes (protocol §2, §3). */
export class AgbClient {
  readonly pool: HttpPool;
  readonly requests: Requests;
  readonly #config: AgbConfig;
  /** The endpoint has answered like AGB: what comes from elsewhere now came from a gateway in between. */
  #isKnown = false;

  constructor(config: AgbConfig, pool: HttpPool, requests: Requests) {
    this.pool = pool;
    this.requests = requests;
    this.#config = config;
  }

  get timeoutMs(): number {
    return this.#config.timeoutMs;
  }

  /** A call that is made once. @throws as {@link exchange}. */
  async call(path: string, options: CallOptions, signal: AbortSignal): Promise<Envelope> {
    return await this.#run(path, options, "never", signal);
  }

  /** A call that may be made twice without harm, repeated as the policy allows. @throws as {@link exchange}. */
  async repeat(path: string, options: CallOptions, signal: AbortSignal): Promise<Envelope> {
    return await this.#run(path, options, "always", signal);
  }

  /**
   * One request at once, for whoever limits and repeats it. @throws {TransportError} as `errorOf` and the pool say;
   * `UNREACHABLE` when what answers is not AGB.
   */
  async exchange(path: string, options: CallOptions, signal: AbortSignal): Promise<Envelope> {
    const query = new URLSearchParams();
    for (const [name, value] of Object.entries(options.query ?? {})) if (value !== undefined) query.set(name, value);
    const method = options.method ?? "POST";
    const { endpoint } = this.#config;
    const answer = await this.pool.send(
      `${endpoint}${path}${query.size > 0 ? `?${query.toString()}` : ""}`,
      {
        method,
        headers: {
          authorization: `Bearer ${this.#config.apiKey}`,
          accept: "application/json",
          ...(method === "POST" ? { "content-type": "application/json" } : {}),
        },
        ...(method === "POST" ? { body: JSON.stringify(options.body ?? {}) } : {}),
        timeoutMs: options.timeoutMs ?? this.#config.timeoutMs,
      },
      signal,
    );
    const envelope = parseEnvelope(answer.status, answer.body.toString("utf8"));
    const isFatal = answer.status >= 500 || [401, 403, 429].includes(answer.status);
    if (!envelope.isEnvelope && !isFatal) {
      if (!this.#isKnown) throw foreignAnswer(new URL(endpoint).host, describeForeign(answer));
      throw new TransportError(
        "BAD_ANSWER",
        `could not ${options.what}: ${describeForeign(answer)} is no answer of AGB`,
        {
          retryable: answer.status < 400,
        },
      );
    }
    this.#isKnown ||= envelope.isEnvelope;
    if (envelope.isSuccess || (options.acceptsFailure === true && !isFatal)) return envelope;
    throw errorOf(envelope, `could not ${options.what}`, answer.retryAfterMs);
  }

  async #run(path: string, options: CallOptions, repeats: Repeats, signal: AbortSignal): Promise<Envelope> {
    const send = async (own: AbortSignal) => await this.exchange(path, options, own);
    return await this.requests.run({ what: options.what, repeats }, send, signal);
  }
}

/** True for the answers that mean that a session does not exist (any more). */
export function isSessionGone(error: unknown): boolean {
  return hasCode(error, "SESSION_GONE", "SESSION_NOT_FOUND");
}
