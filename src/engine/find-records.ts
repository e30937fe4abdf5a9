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
 * The gitignore patterns that `find` can apply itself: only those of which the library that judges the same names on
 * this machine must say the same (`find` counts bytes where the library counts characters, so no `?`, no brackets).
 * `isWhole` says that these are all: then nothing that is ignored is listed. A negation keeps back the patterns whose
 * matches it may take back; one that could take back anything keeps back all.
 */
export function prunesOf(patterns: readonly string[]): {
  readonly prunes: readonly FindWords[];
  readonly isWhole: boolean;
} {
  const rules = patterns.filter((line) => line.trim() !== "" && !line.startsWith("#"));
  const takenBack = rules.filter((rule) => rule.startsWith("!")).map((rule) => /^!([\w.-]+)\/?$/.exec(rule)?.[1]);
  if (takenBack.includes(undefined)) return { prunes: [], isWhole: false };
  const ignoring = rules.filter((rule) => !rule.startsWith("!"));
  const prunes = ignoring.map((rule) =>
    takenBack.some((name = "") => matchesName(rule, name)) ? undefined : pruneOf(rule),
  );
  return { prunes: prunes.filter((test) => test !== undefined), isWhole: prunes.every((test) => test !== undefined) };
}

function pruneOf(rule: string): FindWords | undefined {
  const isDirectory = rule.endsWith("/");
  const body = isDirectory ? rule.slice(0, -1) : rule;
  const type = isDirectory ? ["-type", "d"] : [];
  if (/^[A-Za-z0-9._*-]+$/.test(body) && !body.includes("**")) return [...type, "-name", body];
  // `*` of `find -path` also matches slashes, so only plain paths are anchored here.
  const path = body.replace(/^\//, "");
  const isPlain = /^[A-Za-z0-9._-]+(?:\/[A-Za-z0-9._-]+)*$/.test(path) && !/(?:^|\/)\.\.?(?:\/|$)/.test(path);
  return isPlain && body.includes("/") ? [...type, "-path", `./${path}`] : undefined;
}

/** Whether what a rule ignores may have this name. */
function matchesName(rule: string, name: string): boolean {
  const last = rule.replace(/\/$/, "").split("/").at(-1) ?? "";
  const parts = last.split("*").map((part) => part.replaceAll(/[.\\+?^${}()|[\]]/g, "\\$&"));
  return new RegExp(`^${parts.join(".*")}$`, "s").test(name);
}
