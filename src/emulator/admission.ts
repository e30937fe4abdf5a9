import { createHash, timingSafeEqual } from "node:crypto";
import type { IncomingHttpHeaders, IncomingMessage } from "node:http";
import { type Reply, refuse } from "./reply.ts";

/** Who may talk to the emulator besides programs that reach it by a loopback name. */
export type AdmissionRules = {
  /** The address it listens on. */
  readonly host: string;
  /** Origins of pages that may use it, such as "http://localhost:3000". */
  readonly allowedOrigins: readonly string[];
};

const loopbackHost = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d{1,5})?$/i;

/**
 * Refuses what a web page may have caused, from the head of the request alone (S47): a page reaches a loopback port by
 * a name of its own that it points there (DNS rebinding: `Host`), or as a stranger to it (`Origin`, `Sec-Fetch-Site`;
 * forms and images need no leave beforehand). Undefined: it may go on, and must show a key.
 */
export function refusalOfHead(request: IncomingMessage, rules: AdmissionRules): Reply | undefined {
  const hosts = request.rawHeaders.filter((_, index, all) => index % 2 === 0 && all[index]?.toLowerCase() === "host");
  const host = request.headers.host ?? "";
  if (hosts.length !== 1 || !isOwnHost(host, request.socket.localAddress ?? "", rules)) {
    return refuse(403, "AccessDenied", `this emulator is not ${JSON.stringify(host)}: call it by a loopback name`);
  }
  if (allowedOriginOf(request.headers, rules) !== undefined) return undefined;
  const { origin, "sec-fetch-site": site } = request.headers;
  if (origin === undefined && (site === undefined || site === "none")) return undefined;
  const page = origin ?? `of another site (Sec-Fetch-Site: ${String(site)})`;
  return refuse(
    403,
    "AccessDenied",
    `pages ${page} may not use this emulator: start it with --allow-origin to let one`,
  );
}

function isOwnHost(host: string, localAddress: string, { host: boundTo }: AdmissionRules): boolean {
  if (loopbackHost.test(host)) return true;
  if (isLoopback(boundTo)) return false;
  // By its address nothing can be rebound; by the name that it was started with neither.
  const name = host.replace(/:\d{1,5}$/, "").replace(/^\[|\]$/g, "");
  return name === boundTo || name === localAddress.replace(/^::ffff:/, "");
}

/** Whether an address that somebody listens on can be reached from this machine only. */
export function isLoopback(host: string): boolean {
  return loopbackHost.test(host.includes(":") ? `[${host}]` : host);
}

function allowedOriginOf(headers: IncomingHttpHeaders, { allowedOrigins }: AdmissionRules): string | undefined {
  return allowedOrigins.find((allowed) => allowed === headers.origin);
}

/** What tells a browser that the page may read the answer; nothing for pages that are not allowed. */
export function headersForPage(request: IncomingMessage, rules: AdmissionRules): Readonly<Record<string, string>> {
  const origin = allowedOriginOf(request.headers, rules);
  if (origin === undefined) return {};
  return { "access-control-allow-origin": origin, "access-control-expose-headers": "etag", vary: "origin" };
}

/** The answer to a browser that asks whether an allowed page may send a request; undefined for any other request. */
export function preflightReply(request: IncomingMessage, rules: AdmissionRules): Reply | undefined {
  if (request.method !== "OPTIONS" || allowedOriginOf(request.headers, rules) === undefined) return undefined;
  const headers = {
    "access-control-allow-methods": "GET, POST, PUT",
    "access-control-allow-headers": "authorization, content-type, x-access-token",
    "access-control-allow-private-network": "true",
    "access-control-max-age": "600",
  };
  return { status: 204, headers, body: "" };
}

/** Whether two secrets are the same, in a time that tells nothing of where they differ. */
export function isSameSecret(given: string, right: string): boolean {
  const digest = (text: string): Buffer => createHash("sha256").update(text).digest();
  return timingSafeEqual(digest(given), digest(right));
}
