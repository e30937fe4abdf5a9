import type { RequestInfo } from "./session/action.ts";

/** What is remembered of the requests so far: as many as `keptRequests`, their arguments up to `keptArgsBytes`. */
export type HistoryLimits = { readonly keptRequests: number; readonly keptArgsBytes: number };

/** The latest requests in order of arrival, in bounded memory: an emulator may run for weeks. */
export class RequestHistory {
  readonly #limits: HistoryLimits;
  readonly #requests: RequestInfo[] = [];
  /** What the arguments of each of `#requests` cost. */
  readonly #sizes: number[] = [];
  #argsBytes = 0;
  /** Index of the first request that still has its arguments. */
  #firstWithArgs = 0;
  #count = 0;

  constructor(limits: HistoryLimits) {
    this.#limits = limits;
  }

  /** How many there have been, also those that are forgotten: the index of the next one. */
  get count(): number {
    return this.#count;
  }

  /** Grows, and loses its first ones, as requests come. */
  get requests(): readonly RequestInfo[] {
    return this.#requests;
  }

  /** @param argsBytes what keeping the arguments costs, about. */
  add(info: RequestInfo, argsBytes: number): void {
    this.#count += 1;
    this.#requests.push(info);
    this.#sizes.push(argsBytes);
    this.#argsBytes += argsBytes;
    while (this.#argsBytes > this.#limits.keptArgsBytes && this.#firstWithArgs < this.#requests.length) {
      this.#forgetArgs(this.#firstWithArgs);
      this.#firstWithArgs += 1;
    }
    while (this.#requests.length > this.#limits.keptRequests) {
      this.#forgetArgs(0);
      this.#requests.shift();
      this.#sizes.shift();
      this.#firstWithArgs = Math.max(0, this.#firstWithArgs - 1);
    }
  }

  #forgetArgs(index: number): void {
    const info = this.#requests[index];
    if (info === undefined) return;
    this.#requests[index] = { ...info, args: undefined };
    this.#argsBytes -= this.#sizes[index] ?? 0;
    this.#sizes[index] = 0;
  }
}
