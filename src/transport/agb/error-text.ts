import type { ErrorCode } from "../../errors.ts";
import { reasons } from "../stderr-reason.ts";

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
  // A word stands for them: what is said of a path says nothing of the tool, a server or the session.
  const bare = withoutNames(text, names, commandTools.has(tool) ? "" : "path");
  const at = bare.lastIndexOf(", error: ");
  const reason = at < 0 ? bare : bare.slice(at + ", error: ".length);
  const isTimeout =
    reason.includes("[timeout]") || (commandTools.has(tool) ? timeoutWords : timeoutSentence).test(reason);
  if (isTimeout) return "TIMEOUT";
  if (at < 0 && isUnknownTool(tool, bare)) return "NOT_POSSIBLE_HERE";
  return reasons.find(([pattern]) => pattern.test(reason))?.[1] ?? "TOOL_FAILED";
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

/** `text` with `word` for the names in it. Longest first: one name may begin with another. */
export function withoutNames(text: string, names: readonly string[], word = ""): string {
  return names
    .filter((name) => name !== "")
    .toSorted((one, other) => other.length - one.length)
    .reduce((left, name) => left.replaceAll(name, () => word), text);
}
