import type { ErrorCode } from "../errors.ts";
import { AgbSyncError } from "../errors.ts";
import { printable } from "../tree/printable.ts";

/** What kind of mistake a problem is; each is explained by its message and hint. */
export type ProblemCode =
  | "NOT_TEXT"
  | "YAML_SYNTAX"
  | "UNKNOWN_KEY"
  | "MISSING_KEY"
  | "WRONG_TYPE"
  | "WRONG_VALUE"
  | "UNDEFINED_NAME"
  | "BAD_EXPRESSION"
  | "BAD_PATH"
  | "BAD_ROOT"
  | "BAD_MODE"
  | "BAD_LINK"
  | "BAD_MOVE"
  | "BAD_DURATION"
  | "DUPLICATE_PATH"
  | "PATH_CONFLICT"
  | "ORIGIN"
  | "SOURCE_MISSING"
  | "NOT_SUPPORTED_YET";

/** One mistake in a manifest or template: where it is (one-based), how long the offending text is, and what to do. */
export type Problem = {
  readonly code: ProblemCode;
  readonly message: string;
  readonly hint?: string;
  readonly file: string;
  readonly line: number;
  readonly column: number;
  /** Characters of the offending text on its line. */
  readonly length: number;
  /** The whole offending line. */
  readonly excerpt: string;
};

/** Every problem of one manifest, or of its templates, in the order of the text. Exit 65. */
export class ManifestError extends AgbSyncError {
  override readonly name = "ManifestError";
  readonly problems: readonly Problem[];

  constructor(problems: readonly Problem[], code: ErrorCode = "MANIFEST_INVALID") {
    const files = [...new Set(problems.map(({ file }) => file))];
    const sorted = problems.toSorted(
      (one, other) =>
        files.indexOf(one.file) - files.indexOf(other.file) || one.line - other.line || one.column - other.column,
    );
    super(code, sorted.map(formatProblem).join("\n"));
    this.problems = sorted;
  }
}

/** Characters of a long line that are shown, and how many of them stand before what is wrong. */
const LONGEST_EXCERPT = 160;
const LONGEST_BEFORE = 120;

/** A problem as people read it: place and message, the line, carets under the offending text, the hint. */
export function formatProblem(problem: Problem): string {
  const { file, line, column, message, code, hint } = problem;
  const head = `${printable(file)}:${line}:${column}: ${printable(message)} (${code})`;
  return [head, ...underlined(problem), ...(hint === undefined ? [] : [`  ${printable(hint)}`])].join("\n");
}

/** The line and its carets; nothing where there is no line to show. Widths are those of the escaped text. */
function underlined({ column, length, excerpt }: Problem): readonly string[] {
  const at = column - 1;
  if (excerpt.trim() === "" || at > excerpt.length) return [];
  const from = Math.max(0, at - LONGEST_BEFORE);
  const to = from + LONGEST_EXCERPT;
  // A tab would put the carets beside what they point at.
  const piece = (start: number, end: number) => printable(excerpt.slice(start, end).replaceAll("\t", " "));
  const end = Math.min(at + length, to);
  const before = `${from > 0 ? "…" : ""}${piece(from, at)}`;
  const offending = piece(at, end);
  const after = `${piece(end, to)}${excerpt.length > to ? "…" : ""}`;
  const carets = "^".repeat(Math.max(1, columnsOf(offending)));
  return [`    ${before}${offending}${after}`, `    ${" ".repeat(columnsOf(before))}${carets}`];
}

const takesNone = /^[\p{Mn}\p{Me}]$/u;
const takesTwo =
  /^[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}\p{Emoji_Presentation}\u3000-\u303e\uff01-\uff60\uffe0-\uffe6]$/u;

/** How many columns a terminal gives to escaped text: none to combining marks, two to wide characters. */
function columnsOf(text: string): number {
  let columns = 0;
  for (const character of text) columns += takesNone.test(character) ? 0 : takesTwo.test(character) ? 2 : 1;
  return columns;
}
