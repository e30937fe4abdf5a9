/** Words of find(1), each one argument. */
export type FindWords = readonly string[];

/** Prints a record of these fields: path, `//` (which no path of find holds), the fields, NUL. */
const record = (fields: string): FindWords => ["-printf", `%p//${fields}\\0`];

/** Prints one record an entry. Directories carry no times, so that what is made in them does not make them look changed. */
export const PRINT_RECORD: FindWords = ["(", "-type", "d"].concat(
  record("d %m"),
  ["-o", "-type", "l"],
  record("l %l"),
  ["-o", "-type", "f"],
  record("f %m %s %T@ %C@ %i"),
  ["-o"],
  record("s"),
  [")"],
);

/** Prints a record of what is left out. */
export const PRINT_LEFT_OUT = record("i");

/** Everything below `.` but agb-sync's own state; of what one of `prunes` matches only what `leave` does with it. */
export function findBelow(prunes: readonly FindWords[], leave: FindWords): FindWords {
  const pruning = prunes.flatMap((test) => [...test, "-prune", ...leave, "-o"]);
  return [".", "-mindepth", "1", "-path", "./.agb-sync", "-prune", "-o", ...pruning];
}

/**
 * The gitignore patterns that `find` can apply itself. `isWhole` says that these are all: then nothing that is ignored
 * is listed. A negation makes every pattern depend on the others, so none is taken then.
 */
export function prunesOf(patterns: readonly string[]): {
  readonly prunes: readonly FindWords[];
  readonly isWhole: boolean;
} {
  const rules = patterns.map((line) => line.trimEnd()).filter((line) => line !== "" && !line.startsWith("#"));
  if (rules.some((rule) => rule.startsWith("!"))) return { prunes: [], isWhole: false };
  const prunes = rules.map(pruneOf);
  return { prunes: prunes.filter((test) => test !== undefined), isWhole: prunes.every((test) => test !== undefined) };
}

function pruneOf(rule: string): FindWords | undefined {
  const isDirectory = rule.endsWith("/");
  const body = isDirectory ? rule.slice(0, -1) : rule;
  const type = isDirectory ? ["-type", "d"] : [];
  if (/^[A-Za-z0-9._*?-]+$/.test(body) && !body.includes("**")) return [...type, "-name", body];
  // `*` of `find -path` also matches slashes, so only plain paths are anchored here.
  const path = body.replace(/^\//, "");
  return /^[A-Za-z0-9._/-]+$/.test(path) && body.includes("/") ? [...type, "-path", `./${path}`] : undefined;
}
