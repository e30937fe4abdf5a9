import ignore from "ignore";

type Rules = ReturnType<typeof ignore>;

/**
 * What the `.gitignore` files from the top of a tree down to one directory leave out. The rules of inner files are
 * rewritten to hold from the top: only one list of rules, the last match of which counts, says the same as git.
 */
export class GitignoreStack {
  readonly #rules: Rules;

  constructor(rules: Rules = noRules()) {
    this.#rules = rules;
  }

  /** The stack for a directory whose `.gitignore` says `text`. `directory` is relative to the tree, `""` its top. */
  enter(directory: string, text: string): GitignoreStack {
    const lines = text.replace(/^\ufeff/, "").split(/\r?\n/);
    const inner = directory === "" ? lines : lines.flatMap((line) => fromTop(line, directory));
    return new GitignoreStack(noRules().add(this.#rules).add(inner));
  }

  /** Whether git would leave `path` out, given that every directory above it is not left out. */
  isIgnored(path: string, isDirectory: boolean): boolean {
    return this.#rules.ignores(isDirectory ? `${path}/` : path);
  }
}

function noRules(): Rules {
  return ignore({ ignorecase: false, allowRelativePaths: true });
}

/** A rule of `directory` as the top would write it. Nothing for a line that is no rule. */
function fromTop(line: string, directory: string): readonly string[] {
  if (line.startsWith("#")) return [];
  const isNegative = line.startsWith("!");
  const pattern = isNegative ? line.slice(1) : line;
  const inner = pattern.replace(/^\//, "");
  if (inner.trim() === "") return [];
  // A slash that is not the last character ties a pattern to its directory.
  const isTied = pattern.trimEnd().slice(0, -1).includes("/");
  const place = directory.replaceAll(/[\\*?[\]!# ]/g, "\\$&");
  return [`${isNegative ? "!" : ""}/${place}/${isTied ? "" : "**/"}${inner}`];
}
