import ignore from "ignore";

/** Answers whether a path (relative, POSIX, without a trailing slash) is left out. */
export type IgnoreMatcher = (path: string, isDirectory: boolean) => boolean;

/** gitignore patterns as a question; a path in an ignored directory is ignored too. Case counts, as in git on Linux. */
export function ignoreMatcher(patterns: readonly string[]): IgnoreMatcher {
  if (patterns.length === 0) return () => false;
  const rules = ignore({ ignorecase: false, allowRelativePaths: true }).add([...patterns]);
  return (path, isDirectory) => path !== "" && rules.ignores(isDirectory ? `${path}/` : path);
}
