import { quoteForShell } from "../../transport/shell-quote.ts";
import type { SessionProbe } from "../../transport/transport.ts";
import { type FindWords, findBelow, PRINT_LEFT_OUT, PRINT_RECORD } from "../find-records.ts";

/**
 * How the scripts of the batch engine speak to the programs of a session. Both dialects define the same shell functions
 * over records, in a form of their own: ended by NUL, or lines in which a line break of a name is written as \\001.
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
  /** The functions; what these tests of `find` match is neither listed nor entered. */
  readonly functions: (prunes: readonly FindWords[]) => string;
  /** What `hash_of` hashes of one file. */
  readonly digestLine: (hex: string, path: string) => string;
  /** Long and unusual names may be in the archive; otherwise they are given after unpacking. */
  readonly takesAnyName: boolean;
};

const RECORD = shellWords(PRINT_RECORD);

function shellWords(words: FindWords): string {
  return words.map(quoteForShell).join(" ");
}

const gnuList = (prunes: readonly FindWords[], leave: FindWords) =>
  `{ find ${shellWords(findBelow(prunes, leave))} ${RECORD}; printf 'z//%s\\0' $?; } 2>/dev/null | sort -z`;

const gnu: Dialect = {
  name: "gnu",
  digestLine: (hex, path) => `${hex}  ./${path}\0`,
  takesAnyName: true,
  functions: (prunes) => `
list() { ${gnuList(prunes, [])}; }
list_all() { ${gnuList(prunes, PRINT_LEFT_OUT)}; }
records() { xargs -0 -r sh -c 'exec find "$@" -maxdepth 0 ${RECORD.replaceAll("'", `'\\''`)}' sh 2>/dev/null; }
index() { { cat; printf 'z//0\\0'; } | sort -z -u; }
out() { cat; }
count() { tr -cd '\\000' | wc -c; }
all_in() { [ "$(list | comm -z -23 "$1" - | head -c 1 | wc -c)" = 0 ]; }
just() { [ "$(list | comm -z -3 "$1" - | head -c 1 | wc -c)" = 0 ]; }
new_to() { comm -z -13 "$1" -; }
known_to() { comm -z -12 "$1" -; }
marked() { comm -z -1 "$1" -; }
sizes() { sed -nz 's,.*//f [0-9]* \\([0-9]*\\) [^/]*$,\\1,p' | tr '\\000' '\\n'; }
paths() { sed -nz 's,//f [^/]*$,,p'; }
hash_each() { xargs -0 -r sha256sum -z -- 2>/dev/null; }
hash_of() { hash_each | sha256sum; }
without() { grep -v -x -F -f "$1"; }
`,
};

/** `leave` as the shell takes it. */
const portableList = (prunes: readonly FindWords[], leave: string) =>
  `{ TZ=UTC0 find ${shellWords(findBelow([], []))} ${prunes.map((test) => `${shellWords(test)} -prune ${leave} -o`).join(" ")} -path "*$NL*" -exec sh -c "$ONE" sh {} + -o -type l -exec sh -c "$ONE" sh {} + -o -exec sh -c "$MANY" sh {} +; printf 'z//%s\\n' $?; } 2>/dev/null | as_records | sort`;

/**
 * For busybox and its like. \`stat\` prints \`raw mode/mode/size/inode/mtime/ctime//path\`, which awk turns into a record;
 * links and names with a line break are few and are asked for one by one. No parentheses round `-exec … +`: busybox 1.35
 * then runs nothing. Times without fractions of a second cannot
 * tell two versions of one second apart: then the index never matches.
 */
const portable: Dialect = {
  name: "portable",
  // Names are left out: programs differ in how they print those with a backslash or a line break.
  digestLine: (hex) => `${hex}\n`,
  takesAnyName: false,
  functions: (prunes) => `
NL='
'
ONE='for f; do
  e=$(printf "%s." "$f" | tr "\\n" "\\001"); e=\${e%.}
  if [ -L "$f" ]; then t=$(readlink "$f" | tr "\\n" "\\001"); printf "=%s//l %s\\n" "$e" "\${t%?}"
  else s=$(stat -c "%f/%a/%s/%i/%y/%z" "$f") && printf "%s//%s\\n" "$s" "$e"; fi
done; :'
LEFT_OUT='for f; do e=$(printf "%s." "$f" | tr "\\n" "\\001"); printf "=%s//i\\n" "\${e%.}"; done; :'
MANY='stat -c "%f/%a/%s/%i/%y/%z//%n" "$@"; :'
as_records() {
  awk '/^=/ { print substr($0, 2); next }
  /^z/ { print; next }
  {
    i = index($0, "//"); name = substr($0, i + 2); split(substr($0, 1, i - 1), a, "/")
    kind = length(a[1]) == 4 ? substr(a[1], 1, 1) : "1"
    gsub(/ /, "_", a[5]); gsub(/ /, "_", a[6]); if (index(a[6], ".") == 0) a[6] = "?"
    if (kind == "4") print name "//d " a[2]
    else if (kind == "8") print name "//f " a[2] " " a[3] " " a[5] " " a[6] " " a[4]
    else print name "//s"
  }'
}
list() { ${portableList(prunes, "")}; }
list_all() { ${portableList(prunes, `-exec sh -c "$LEFT_OUT" sh {} +`)}; }
records() {
  TZ=UTC0 xargs -0 -r sh -c 'ONE=$1 MANY=$2 NL=$3; shift 3; exec find "$@" -maxdepth 0 -path "*$NL*" -exec sh -c "$ONE" sh {} + -o -type l -exec sh -c "$ONE" sh {} + -o -exec sh -c "$MANY" sh {} +' sh "$ONE" "$MANY" "$NL" 2>/dev/null | as_records
}
index() { { cat; echo 'z//0'; } | sed 's,^\\(.*//f .*\\) ? \\([0-9]*\\)$,\\1 - \\2,' | sort -u; }
out() { tr '\\n\\001' '\\000\\n'; }
count() { wc -l; }
compared() {
  awk -v want="$1" 'BEGIN { while ((getline line < ARGV[1]) > 0) { has[line] = 1; left++ } ARGV[1] = "-" }
  want == "marked" { print (($0 in has) ? "\\t" : "") $0; next }
  want == "all" || want == "just" { if ($0 in has) left--; else more = 1; next }
  ($0 in has) == (want == "known")
  END { exit (want == "all" || want == "just") && (left != 0 || (want == "just" && more)) }' "$2"
}
all_in() { list | compared all "$1"; }
just() { list | compared just "$1"; }
new_to() { compared new "$1"; }
known_to() { compared known "$1"; }
marked() { compared marked "$1"; }
sizes() { sed -n 's,.*//f [0-9]* \\([0-9]*\\) [^/]*$,\\1,p'; }
paths() { sed -n 's,//f [^/]*$,,p' | awk 'index($0, "\\001") + index($0, "\\\\") == 0' | tr '\\n' '\\000'; }
hash_each() { xargs -0 -r sha256sum 2>/dev/null; }
hash_of() { hash_each | sed -n 's|^\\\\\\{0,1\\}\\([0-9a-f]\\{64\\}\\)  \\./.*|\\1|p' | sha256sum; }
without() { compared new "$1"; }
`,
};

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
