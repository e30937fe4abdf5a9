import { printable } from "../tree/printable.ts";

/** Longest text of a server that is repeated in a message. */
const LONGEST_MESSAGE = 300;

/** A server's words, safe to print and short enough to read. */
export function shorten(text: string): string {
  const safe = printable(text.slice(0, 10 * LONGEST_MESSAGE).trim());
  return safe.length > LONGEST_MESSAGE ? `${safe.slice(0, LONGEST_MESSAGE)}...` : safe;
}
