import type { ProgramValues } from "../../transport/shell-program.ts";
import { quoteForShell } from "../../transport/shell-quote.ts";
import type { SessionProbe } from "../../transport/transport.ts";
import { type FindWords, PRINT_LEFT_OUT } from "../find-records.ts";
import recordsGnu from "./records-gnu.sh.generated.js";
import recordsPortable from "./records-portable.sh.generated.js";

/**
 * How the programs of the batch engine speak to the programs of a session. Both dialects define the same shell functions
 * over records, in a form of their own: ended by NUL, or lines in which a line break of a name is written as \001.
 *
 *     list             records of everything below `.`, sorted, with `z//STATUS` among them
 *     list_all         the same, with a record `//i` for each thing that is left out
 *     records          records of the paths on stdin (each ended by NUL)
 *     index            stdin and the end mark, sorted, each record once
 *     out              stdin with every record ended by NUL
 *     count            how many records are on stdin
 *     all_in, just F   true when the list holds every record of F; and no other one
 *     new_to, known_to F   the records of stdin that F lacks; that it has
 *     marked F         stdin, with a tab before the records that F has
 *     sizes, paths     of the files on stdin: one size a line; paths ended by NUL
 *     hash_each        `sha256sum` of the paths on stdin
 *     hash_of          one digest over the digests of the paths on stdin, as `sha256sum` prints it
 *     without F        the lines of stdin that F lacks
 */
export type Dialect = {
  readonly name: "gnu" | "portable";
  /** The program that defines these functions. */
  readonly program: string;
  /** Its values: what these tests of `find` match is neither listed nor entered. */
  readonly values: (prunes: readonly FindWords[]) => ProgramValues;
  /** What `hash_of` hashes of one file. */
  readonly digestLine: (hex: string, path: string) => string;
  /** Long and unusual names may be in the archive; otherwise they are given after unpacking. */
  readonly takesAnyName: boolean;
};

const gnu: Dialect = {
  name: "gnu",
  program: recordsGnu,
  values: prunesFor(shellWords(PRINT_LEFT_OUT)),
  digestLine: (hex, path) => `${hex}  ./${path}\0`,
  takesAnyName: true,
};

const portable: Dialect = {
  name: "portable",
  program: recordsPortable,
  values: prunesFor('-exec sh -c "$LEFT_OUT" sh {} +'),
  // Names are left out: programs differ in how they print those with a backslash or a line break.
  digestLine: (hex) => `${hex}\n`,
  takesAnyName: false,
};

/** `tell`: words for `find`, as the program quotes them, that print a record of what is left out. */
function prunesFor(tell: string): Dialect["values"] {
  const words = (prunes: readonly FindWords[], leave: string) =>
    prunes.map((test) => `${shellWords(test)} -prune ${leave} -o`).join(" ");
  return (prunes) => ({ PRUNES: words(prunes, ""), PRUNES_TOLD: words(prunes, tell) });
}

function shellWords(words: FindWords): string {
  return words.map(quoteForShell).join(" ");
}

const neededByBoth = ["base64", "sha256sum", "find", "sort", "xargs", "tar", "mv-T", "head", "tail", "wc", "cut", "tr"];
const neededForGnu = ["sha256sum-z", "comm", "sed", "grep", "gnu-find"];
const neededForPortable = ["stat", "awk", "sed", "readlink", "portable-list"];

/** The dialect for a session, or the programs that it lacks for any. */
export function dialectOf(probe: SessionProbe): Dialect | { readonly lacks: readonly string[] } {
  const lacking = (programs: readonly string[]) => programs.filter((program) => !probe.commands.has(program));
  const lacks = lacking(neededByBoth);
  if (lacks.length > 0) return { lacks };
  if (lacking(neededForGnu).length === 0) return gnu;
  const more = lacking(neededForPortable);
  return more.length === 0 ? portable : { lacks: more };
}
