import { TransportError } from "../../errors.ts";
import { shorten } from "../shorten.ts";

/** An answer of the service in one form, whatever casing or nesting it came in (protocol §2). */
export type Envelope = {
  /** Of HTTP, or the body's own where that is worse: gateways answer 200 for a backend that failed. */
  readonly status: number;
  /** False for what has none of the fields of an envelope: the page of some other server. */
  readonly isEnvelope: boolean;
  readonly isSuccess: boolean;
  readonly code: string;
  readonly message: string;
  /** Decoded when it came as a JSON string. */
  readonly data: unknown;
  /** Fields beside `data`: nextToken, count. */
  readonly fields: Readonly<Record<string, unknown>>;
};

/** One of these is in every answer of the service (protocol §2). */
const ENVELOPE_FIELDS = ["success", "code", "data", "requestId", "httpStatusCode"];

/** Reads an answer. Never throws: what is no envelope becomes a failed one. */
export function parseEnvelope(status: number, body: string): Envelope {
  const outer = recordOf(parseJson(body));
  // Some answers are nested once more under `body`, and some write their keys in capitals.
  const fields = withLowerKeys(recordOf(outer?.["body"]) ?? outer ?? {});
  const isSuccess = status < 400 && fields["success"] === true;
  const said = Number(fields["httpStatusCode"]);
  return {
    status: !isSuccess && said >= 400 && said < 600 ? Math.max(status, said) : status,
    isEnvelope: ENVELOPE_FIELDS.some((name) => name in fields),
    isSuccess,
    code: textOf(fields["code"]),
    message: outer === undefined && !isWebPage(body) ? body.trim() : textOf(fields["message"]),
    data: decoded(fields["data"]),
    fields,
  };
}

/** True for HTML, which gateways and other servers send. */
export function isWebPage(text: string): boolean {
  return /^\s*(?:<!doctype html|<html|<head|<body)/i.test(text);
}

const busyWords = /busy|unavailable|internal ?(?:server ?)?error|try (?:again )?later|temporar|overload|not ready/;

/** The error that a failed envelope stands for (protocol §10). */
export function errorOf(envelope: Envelope, what: string, retryAfterMs?: number): TransportError {
  const { status, code } = envelope;
  const detail = textOf(recordOf(envelope.data)?.["errMsg"]) || envelope.message || code;
  const message = `${what}: ${shorten(detail) || `HTTP ${status}`}`;
  const words = wordsOf(code, detail);
  const patience = { retryable: true, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) };
  if (isSessionLoss(code, detail)) {
    return sessionGone(shorten(detail), what);
  }
  if (status === 429 || words.includes("throttl") || words.includes("too many requests")) {
    return new TransportError("THROTTLED", message, patience);
  }
  if (
    status === 401 ||
    words.includes("not_login") ||
    words.includes("not logged in") ||
    words.includes("token expired")
  ) {
    return new TransportError(
      "BAD_API_KEY",
      `${what}: the service does not accept the API key (${shorten(detail) || `HTTP ${status}`})`,
      { hint: "check AGB_API_KEY" },
    );
  }
  if (status === 403 || words.includes("accessdenied")) {
    return new TransportError("ACCESS_DENIED", message, {
      hint: "check that the API key belongs to the owner of the session",
    });
  }
  if (status >= 500) {
    return new TransportError("UNAVAILABLE", `${what}: HTTP ${status}${detail === "" ? "" : `, ${shorten(detail)}`}`, {
      ...patience,
      hint: "the service has trouble: try again later; finished steps are not repeated",
    });
  }
  if (isBusy(code, detail)) {
    return new TransportError("UNAVAILABLE", message, {
      ...patience,
      hint: "the service is busy: try again later; finished steps are not repeated",
    });
  }
  return new TransportError("BAD_ANSWER", message, { hint: "run again with --debug, or try the call again later" });
}

/** The session has ended, as somebody said: no call to it can succeed any more. */
export function sessionGone(reason: string, what?: string): TransportError {
  return new TransportError("SESSION_GONE", `${what === undefined ? "" : `${what}: `}the session is gone (${reason})`, {
    hint: "sessions live 30 minutes at most; apply without --session to get a new one",
  });
}

/** A file's "not found" is no loss of the session: the text must name the session, and no path (protocol §10). */
export function isSessionLoss(code: string, message: string): boolean {
  const words = wordsOf(code, message);
  return (words.includes("notfound") || words.includes("not found")) && words.includes("session");
}

/** Words of a service that is well but cannot serve this call now; the same call may go through later. */
export function isBusy(code: string, message: string): boolean {
  return busyWords.test(wordsOf(code, message));
}

/** What may be searched for words, in lower case. A message with a slash holds a path, which may be called anything. */
function wordsOf(code: string, message: string): string {
  return `${code} ${message.includes("/") ? "" : message}`.toLowerCase();
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
