import type { ErrorCode } from "../../errors.ts";

/** Reasons as tools, shells and the C library word them (protocol §5.4). The first that matches counts. */
const reasons: readonly (readonly [RegExp, ErrorCode])[] = [
  [/leads outside$/, "OUTSIDE_ROOT"],
  [/no space left|disk quota|disk full/i, "NO_SPACE"],
  [/permission denied|operation not permitted|read-only file system/i, "PERMISSION_DENIED"],
  [/not a directory/i, "NOT_A_DIRECTORY"],
  [/directory not empty/i, "DIRECTORY_NOT_EMPTY"],
  [/is a directory/i, "IS_A_DIRECTORY"],
  // Of files only: a server, a tool or a context that is not found says nothing about the path.
  [/no such file|enoent|directory nonexistent/i, "NOT_FOUND"],
  [/\b(?:file|path|directory|folder|source)\W+(?:is |was )?not found/i, "NOT_FOUND"],
  [/(?:^|\b(?:file|path|directory|folder|source))\W*does not exist/i, "NOT_FOUND"],
  [/file exists|already exists|eexist/i, "ALREADY_EXISTS"],
];

const timeoutWords = /\btime(?:d[ -]?out|-?out)\b/i;
/** A sentence about something that took too long, as opposed to one about a file of that name. */
const timeoutSentence =
  /^\W*(?:(?:the|a|shell|command|tool|execution|request|operation|call|process|script|connection|gateway|error|failed|has|was)\W+)*time(?:d[ -]?out|-?out)\b(?!\.\w)|\bdeadline exceeded\b/i;
/** What `runShell` and its kin answer with: a text about the command, which may say "timeout" anywhere. */
const commandTools = new Set(["shell", "run_code"]);

/**
 * What a tool's error text means. Names may hold any words, so only the reason is read: what follows the last
 * `, error: ` once `names`, as they were sent, are taken out (protocol §5.4).
 */
export function codeOfToolText(tool: string, text: string, names: readonly string[]): ErrorCode {
  const bare = withoutNames(text, names);
  const at = bare.lastIndexOf(", error: ");
  const reason = at < 0 ? bare : bare.slice(at + ", error: ".length);
  const isTimeout =
    reason.includes("[timeout]") || (commandTools.has(tool) ? timeoutWords : timeoutSentence).test(reason);
  if (isTimeout) return "TIMEOUT";
  if (at < 0 && isUnknownTool(tool, bare)) return "NOT_POSSIBLE_HERE";
  return reasons.find(([pattern]) => pattern.test(reason))?.[1] ?? "TOOL_FAILED";
}

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

/** True when the session says that it does not know the tool; a tool that is busy or broken is known (protocol §5.3). */
export function isUnknownTool(tool: string, text: string): boolean {
  if (/\b(?:busy|now|moment|temporar\w*|later|again)\b/i.test(text)) return false;
  const named = `tools?:? ["'\`[(]?${tool}["'\`\\])]?`;
  const patterns = [
    "(?:unknown|unsupported|unrecognized|no such) tool\\b",
    "tool\\.notfound\\b",
    "\\[?\\btool\\]? (?:name )?(?:is |was |does )?not (?:found|exist)",
    `\\b${named} (?:is |was |does )?not (?:found|known|available|supported|registered|enabled|exist)`,
    `(?:not|cannot|can't) find (?:the )?${named}`,
    `no (?:server|handler) (?:found )?for (?:the )?${named}`,
  ];
  return new RegExp(patterns.join("|"), "i").test(text);
}

/** `text` without the names in it. Longest first: one name may begin with another. */
export function withoutNames(text: string, names: readonly string[]): string {
  return names
    .filter((name) => name !== "")
    .toSorted((one, other) => other.length - one.length)
    .reduce((left, name) => left.replaceAll(name, ""), text);
}
