import { readFileSync } from "node:fs";
import ignore from "ignore";

/** One `.gitignore`: its directory relative to the tree, with a slash behind it, and its rules. */
type Level = { readonly prefix: string; readonly rules: ReturnType<typeof ignore> };

/** What the `.gitignore` files from the top of a tree down to one directory leave out; the innermost one decides. */
export class GitignoreStack {
  readonly #rules: readonly Level[];

  constructor(rules: readonly Level[] = []) {
    this.#rules = rules;
  }

  /** The stack for a directory whose `.gitignore`, if any, is at `file`. `directory` is relative to the tree, `""` its top. */
  enter(directory: string, file: string | undefined): GitignoreStack {
    if (file === undefined) return this;
    const rules = ignore({ ignorecase: false, allowRelativePaths: true }).add(readFileSync(file, "utf8"));
    return new GitignoreStack([...this.#rules, { prefix: directory === "" ? "" : `${directory}/`, rules }]);
  }

  /** Whether git would leave `path` out, given that every directory above it is not left out. */
  isIgnored(path: string, isDirectory: boolean): boolean {
    for (const { prefix, rules } of this.#rules.toReversed()) {
      const inner = path.slice(prefix.length);
      const verdict = rules.test(isDirectory ? `${inner}/` : inner);
      if (verdict.ignored) return true;
      if (verdict.unignored) return false;
    }
    return false;
  }
}
