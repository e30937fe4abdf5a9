import { isUtf8 } from "node:buffer";
import { ManifestError } from "./manifest-error.ts";

const NEWLINE = 0x0a;

/**
 * The text of bytes that have to be UTF-8; a byte order mark stays. `file` is as messages show it.
 * @throws {ManifestError} `NOT_TEXT` where the first character is that is none. Nothing of the bytes is shown.
 */
export function decodeText(bytes: Uint8Array, file: string, hint = "save it as UTF-8"): string {
  if (isUtf8(bytes)) return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  const place = isUtf16(bytes) ? { line: 1, column: 1 } : firstFault(bytes);
  const found = isUtf16(bytes) ? "this is UTF-16, not UTF-8 text" : "this is not UTF-8 text";
  throw new ManifestError([{ code: "NOT_TEXT", message: found, hint, file, ...place, length: 1, excerpt: "" }]);
}

/** By its byte order mark. */
function isUtf16([first, second]: Uint8Array): boolean {
  return (first === 0xff && second === 0xfe) || (first === 0xfe && second === 0xff);
}

function firstFault(bytes: Uint8Array): { readonly line: number; readonly column: number } {
  let line = 1;
  let start = 0;
  for (let end = bytes.indexOf(NEWLINE); end >= 0; end = bytes.indexOf(NEWLINE, start)) {
    if (!isUtf8(bytes.subarray(start, end))) return { line, column: columnOf(bytes.subarray(start, end)) };
    start = end + 1;
    line += 1;
  }
  return { line, column: columnOf(bytes.subarray(start)) };
}

/** A decoder that is not strict puts U+FFFD where something is wrong. */
function columnOf(line: Uint8Array): number {
  return Math.max(1, new TextDecoder("utf-8", { ignoreBOM: true }).decode(line).indexOf("\ufffd") + 1);
}
