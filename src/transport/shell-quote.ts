import { AgbSyncError } from "../errors.ts";

/**
 * `text` as one word of a POSIX shell command that means exactly these characters: the only way in which a name or
 * other data may enter a command. A word may still begin with a dash: pass absolute paths or a leading `./`.
 * @throws {AgbSyncError} `INTERNAL` for NUL or a lone surrogate, which no shell word can hold.
 */
export function quoteForShell(text: string): string {
  if (text.includes("\0") || !text.isWellFormed()) {
    throw new AgbSyncError("INTERNAL", `text cannot be a word of a shell command: ${JSON.stringify(text)}`);
  }
  return /^[A-Za-z0-9_./:@%+,-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
