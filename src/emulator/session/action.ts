/** One request as the emulator understood it, before it is acted on. */
export type RequestInfo = {
  /** Counts from 0, in order of arrival, over all routes and the object store. */
  readonly index: number;
  readonly method: string;
  /** Without the query. */
  readonly path: string;
  /** Name of the tool, for tool calls of either route. */
  readonly tool: string | undefined;
  readonly args: Readonly<Record<string, unknown>> | undefined;
  readonly sessionId: string | undefined;
};

/**
 * What may be done to a request instead of answering it.
 * - `drop-before`, `drop-after`: the connection breaks before, or after, the work is done.
 * - `half`: breaks half-way: write_file writes half of its bytes, a command is killed early, an upload is not stored.
 * - `hang-before`, `hang-after`: no answer until the client gives up.
 * - `truncate`: the work is done, half of the HTTP body is sent, the connection breaks.
 * - `cut`: the work is done, the tool's text is cut in half inside a sound envelope.
 * - `lie`: success is reported and nothing is done.
 * - `expire`: the session ends first. `disk-full`: its disk is full from here on.
 * - `status`: that HTTP status; the work is done only with `after`. `delayMs`: waits first.
 * - `refuse`: nothing is done; an envelope with this code says so, with HTTP 200 (protocol §2). `httpStatusCode` is the
 *   one of its body.
 */
export type Action =
  | "drop-before"
  | "drop-after"
  | "half"
  | "hang-before"
  | "hang-after"
  | "truncate"
  | "cut"
  | "lie"
  | "expire"
  | "disk-full"
  | { readonly status: number; readonly after?: boolean }
  | { readonly delayMs: number }
  | { readonly refuse: string; readonly message?: string; readonly httpStatusCode?: number };
