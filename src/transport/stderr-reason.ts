import type { ErrorCode } from "../errors.ts";

/** Reasons as tools, shells and the C library word them (protocol §5.4). The first that matches counts. */
export const reasons: readonly (readonly [RegExp, ErrorCode])[] = [
  [/leads outside$/, "OUTSIDE_ROOT"],
  [/no space left|disk quota|disk full/i, "NO_SPACE"],
  [/permission denied|operation not permitted|read-only file system/i, "PERMISSION_DENIED"],
  [/not a directory/i, "NOT_A_DIRECTORY"],
  [/directory not empty/i, "DIRECTORY_NOT_EMPTY"],
  [/is a directory/i, "IS_A_DIRECTORY"],
  // Of files only: a server, a tool or a context that is not found says nothing about the path.
  [/no such file|enoent|directory nonexistent/i, "NOT_FOUND"],
  [/\b(?:file|path|directory|folder|source)\W+(?:is |was )?not found/i, "NOT_FOUND"],
  [/\bnot found\W+(?:the )?(?:file|path|directory|folder)\b/i, "NOT_FOUND"],
  [/(?:^|\b(?:file|path|directory|folder|source))\W*does not exist/i, "NOT_FOUND"],
  [/file exists|already exists|eexist/i, "ALREADY_EXISTS"],
];

/**
 * What the standard error of a command means. Programs end a line with the reason, after a last `: `; the names before
 * it are not read. The last line with a known reason counts: what follows it are remarks, such as those of tar.
 */
export function codeOfStderr(text: string): ErrorCode {
  for (const line of text.trimEnd().split("\n").toReversed()) {
    const clause = line.slice(line.lastIndexOf(": ") + 1).trimStart();
    if (/^\[?(?:connection )?timed? ?out\b/i.test(clause)) return "TIMEOUT";
    const reason = reasons.find(([pattern]) => pattern.exec(clause)?.index === 0);
    if (reason !== undefined) return reason[1];
  }
  return "TOOL_FAILED";
}
