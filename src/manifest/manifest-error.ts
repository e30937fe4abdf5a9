import type { ErrorCode } from "../errors.ts";
import { AgbSyncError } from "../errors.ts";
import { printable } from "../tree/printable.ts";

/** What kind of mistake a problem is; each is explained by its message and hint. */
export type ProblemCode =
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

/** Every problem of one manifest, in the order of the text. Exit 65. */
export class ManifestError extends AgbSyncError {
  override readonly name = "ManifestError";
  readonly problems: readonly Problem[];

  constructor(problems: readonly Problem[], code: ErrorCode = "MANIFEST_INVALID") {
    const sorted = problems.toSorted((one, other) => one.line - other.line || one.column - other.column);
    super(code, sorted.map(formatProblem).join("\n"));
    this.problems = sorted;
  }
}

/** Tabs would put the carets beside what they point at. */
const LONGEST_EXCERPT = 160;

/** A problem as people read it: place and message, the line, carets under the offending text, the hint. */
export function formatProblem(problem: Problem): string {
  const { file, line, column, length, excerpt } = problem;
  const head = `${file}:${line}:${column}: ${problem.message} (${problem.code})`;
  const hint = problem.hint === undefined ? [] : [`  ${problem.hint}`];
  const shown = excerpt.slice(0, LONGEST_EXCERPT);
  if (shown.trim() === "" || column > shown.length + 1) return [head, ...hint].join("\n");
  const before = printable(shown.slice(0, column - 1).replaceAll("\t", " "));
  const text = before + printable(shown.slice(column - 1).replaceAll("\t", " "));
  const carets = "^".repeat(Math.max(1, Math.min(length, shown.length - column + 1)));
  return [head, `    ${text}`, `    ${" ".repeat(before.length)}${carets}`, ...hint].join("\n");
}
