import { TransportError } from "../../errors.ts";
import { printable } from "../../tree/printable.ts";

/** An answer of the service in one form, whatever casing or nesting it came in (protocol §2). */
export type Envelope = {
  readonly status: number;
  readonly isSuccess: boolean;
  readonly code: string;
  readonly message: string;
  /** Decoded when it came as a JSON string. */
  readonly data: unknown;
  /** Fields beside `data`: nextToken, count. */
  readonly fields: Readonly<Record<string, unknown>>;
};

/** Longest text of a server that is repeated in a message. */
const LONGEST_MESSAGE = 300;

/** Reads an answer. Never throws: what is no envelope becomes a failed one. */
export function parseEnvelope(status: number, body: string): Envelope {
  const outer = recordOf(parseJson(body));
  if (outer === undefined) {
    return {
      status,
      isSuccess: false,
      code: "",
      message: body.trim() === "" ? `HTTP ${status}` : body.trim(),
      data: undefined,
      fields: {},
    };
  }
  // Some answers are nested once more under `body`, and some write their keys in capitals.
  const nested = recordOf(outer["body"]);
  const fields = withLowerKeys(nested ?? outer);
  return {
    status,
    isSuccess: status < 400 && fields["success"] === true,
    code: textOf(fields["code"]),
    message: textOf(fields["message"]),
    data: decoded(fields["data"]),
    fields,
  };
}

/** The error that a failed envelope stands for (protocol §10). */
export function errorOf(envelope: Envelope, what: string, retryAfterMs?: number): TransportError {
  const { status, code } = envelope;
  const detail = textOf(recordOf(envelope.data)?.["errMsg"]) || envelope.message || code || `HTTP ${status}`;
  const message = `${what}: ${shorten(detail)}`;
  const lower = `${code} ${detail}`.toLowerCase();
  if (isSessionLoss(code, detail)) {
    return new TransportError("SESSION_GONE", `${what}: the session is gone (${shorten(detail)})`, {
      hint: "sessions live 30 minutes at most; apply without --session to get a new one",
    });
  }
  if (status === 429 || lower.includes("throttl") || lower.includes("too many requests")) {
    return new TransportError("THROTTLED", message, {
      retryable: true,
      ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    });
  }
  if (
    status === 401 ||
    lower.includes("not_login") ||
    lower.includes("not logged in") ||
    lower.includes("token expired")
  ) {
    return new TransportError("BAD_API_KEY", `${what}: the service does not accept the API key (${shorten(detail)})`, {
      hint: "check AGB_API_KEY",
    });
  }
  if (status === 403 || lower.includes("accessdenied")) {
    return new TransportError("ACCESS_DENIED", message, {
      hint: "check that the API key belongs to the owner of the session",
    });
  }
  if (status >= 500) {
    return new TransportError("UNAVAILABLE", message, {
      retryable: true,
      ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    });
  }
  return new TransportError("BAD_ANSWER", message, { hint: "run again with --debug, or try the call again later" });
}

/** A file's "not found" is no loss of the session: the text must name the session. */
export function isSessionLoss(code: string, message: string): boolean {
  const text = `${code} ${message}`.toLowerCase();
  return (text.includes("notfound") || text.includes("not found")) && text.includes("session");
}

/** The value of a record's key, whatever its casing. */
export function fieldOf(value: unknown, name: string): unknown {
  const record = recordOf(value);
  return record === undefined ? undefined : withLowerKeys(record)[name];
}

/** A plain object, or undefined. */
export function recordOf(value: unknown): Readonly<Record<string, unknown>> | undefined {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? { ...value } : undefined;
}

/** Text of a string or number; empty for anything else. */
export function textOf(value: unknown): string {
  return typeof value === "string" ? value : typeof value === "number" ? String(value) : "";
}

/** A value that may have come as a JSON string. */
export function decoded(value: unknown): unknown {
  if (typeof value !== "string") return value;
  const parsed = parseJson(value);
  return typeof parsed === "object" && parsed !== null ? parsed : value;
}

/** A server's words, safe to print and short enough to read. */
export function shorten(text: string): string {
  const safe = printable(text.trim());
  return safe.length > LONGEST_MESSAGE ? `${safe.slice(0, LONGEST_MESSAGE)}...` : safe;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** `Success` and `success` are the same key; where both are there the lower one counts. */
function withLowerKeys(record: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  const lower: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(record)) {
    const name = key.charAt(0).toLowerCase() + key.slice(1);
    if (name === key || !(name in record)) lower[name] = value;
  }
  return lower;
}
