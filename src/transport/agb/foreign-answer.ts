import { TransportError } from "../../errors.ts";
import { shorten } from "../shorten.ts";
import { isWebPage } from "./parse-envelope.ts";

/** Something answers at the endpoint, and it is not AGB. */
export function foreignAnswer(host: string, why: string): TransportError {
  return new TransportError("UNREACHABLE", `${host} does not answer like AGB (${why})`, { hint: "check AGB_ENDPOINT" });
}

type Answer = { readonly status: number; readonly body: Buffer; readonly location?: string | undefined };

/** What came instead of an envelope, in few words. */
export function describeForeign({ status, body, location }: Answer): string {
  if (status >= 300 && status < 400) return `HTTP ${status} to ${shorten(location ?? "nowhere")}`;
  const text = body.toString("utf8").trim();
  if (text === "") return `HTTP ${status} with an empty answer`;
  return `HTTP ${status} with ${isWebPage(text) ? "a web page" : shorten(text.slice(0, 80))}`;
}
