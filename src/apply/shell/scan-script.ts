import { quoteForShell } from "../../transport/shell-quote.ts";
import type { Digest } from "../../tree/digest.ts";

/** What the session is asked to look at. */
export type ScanScriptInput = {
  readonly root: string;
  readonly sessionId: string;
  /** `find` tests whose matches are neither listed nor entered. */
  readonly prunes: readonly string[];
  /** The stored tree digest for which the answer `same` is enough. */
  readonly expected: Digest | undefined;
  /** `same` only when nothing unmanaged is there either. */
  readonly needsUnmanaged: boolean;
  /** Changed files are hashed at once when they are no more than this together. 0: never. */
  readonly hashUpToBytes: number;
  /** Believe no index. */
  readonly checksum: boolean;
};

/**
 * One record an entry: path, `//` (which no path of find holds), kind and fields. Directories carry no times, so that
 * what is made in them does not make them look changed.
 */
const FORMAT = String.raw`\( -type d -printf '%p//d %m\0' -o -type l -printf '%p//l %l\0' -o -type f -printf '%p//f %m %s %T@ %C@ %i\0' -o -printf '%p//s\0' \)`;

/** Shell functions that scan and commit share: `list` (sorted records of `.`), `records` (of the paths on stdin). */
export const recordFunctions = `
list() {
  { find . -mindepth 1 -path ./.agb-sync -prune -o $PRUNES ${FORMAT}; printf 'z//%s\\0' $?; } 2>/dev/null | sort -z
}
records() { xargs -0 -r sh -c 'exec find "$@" -maxdepth 0 ${FORMAT.replaceAll("'", `'\\''`)}' sh 2>/dev/null; }
`;

/**
 * A read-only command. It answers `missing`, `notdir`, `same`, or `tree` and, as base64 of gzip: base, then records —
 * those equal to the index after a tab — then `#` and the digests of what was changed.
 */
export function scanScript(input: ScanScriptInput): string {
  const { root, expected, needsUnmanaged } = input;
  const start = JSON.stringify({ version: 1, sessionId: input.sessionId, root }).slice(0, -1);
  const same =
    expected === undefined
      ? ""
      : `
c=\${h##*'"count":'}; c=\${c%\\}}
case $h in ${quoteForShell(`${start},`)}*${quoteForShell(`"desired":"${expected}"`)}*)
  if [ -f "$IX" ] && [ "$(tr -cd '\\000' <"$IX" | wc -c)" = $((c+1)) ] && [ "$(list | comm -z ${needsUnmanaged ? "-3" : "-23"} "$IX" - | head -c 1 | wc -c)" = 0 ]; then echo same; exit 0; fi ;;
esac`;
  return `
cd -P ${quoteForShell(root)} 2>/dev/null || { if [ -d ${quoteForShell(root)} ]; then echo 'Permission denied' >&2; exit 1; elif [ -e ${quoteForShell(root)} ] || [ -L ${quoteForShell(root)} ]; then echo notdir; else echo missing; fi; exit 0; }
${findFunction(input.prunes)}
h=; [ -f .agb-sync/base.json ] && IFS= read -r h <.agb-sync/base.json
g=\${h#*'"generation":'}; g=\${g%%,*}; case $g in ''|*[!0-9]*) g=none ;; esac
IX=.agb-sync/index.$g; [ -f "$IX" ] ${input.checksum ? "&& false " : ""}|| IX=/dev/null
${same}
changed() { list | comm -z -13 "$IX" - | sed -nz 's,//f [^/]*$,,p'; }
echo tree
{
  if [ -n "$h" ]; then printf '%s\\0' "$(wc -c <.agb-sync/base.json)"; cat .agb-sync/base.json; else printf '0\\0'; fi
  list | comm -z -1 "$IX" -
  printf '#\\0'
  t=0; ${input.hashUpToBytes === 0 ? `t=1` : `for n in $(list | comm -z -13 "$IX" - | sed -nz 's,.*//f [0-9]* \\([0-9]*\\) [^/]*$,\\1,p' | tr '\\000' '\\n'); do t=$((t+n)); done`}
  [ $t -gt ${input.hashUpToBytes} ] || changed | xargs -0 -r sha256sum -z -- 2>/dev/null
} | gzip -1 | base64`;
}

function findFunction(prunes: readonly string[]): string {
  const tests = prunes.map((test) => `${test} -prune -o`).join(" ");
  return recordFunctions.replace("$PRUNES", () => tests);
}

/** The functions for a commit, which prunes nothing: its index holds managed paths only. */
export function commitFunctions(): string {
  return findFunction([]);
}

/**
 * The gitignore patterns that `find` can apply itself. `isWhole` says that these are all: then nothing that is ignored
 * appears in the session's answer. A negation makes every pattern depend on the others, so none is taken then.
 */
export function prunesOf(patterns: readonly string[]): {
  readonly prunes: readonly string[];
  readonly isWhole: boolean;
} {
  const rules = patterns.map((line) => line.trimEnd()).filter((line) => line !== "" && !line.startsWith("#"));
  if (rules.some((rule) => rule.startsWith("!"))) return { prunes: [], isWhole: false };
  const prunes = rules.map(pruneOf);
  return { prunes: prunes.filter((test) => test !== undefined), isWhole: prunes.every((test) => test !== undefined) };
}

function pruneOf(rule: string): string | undefined {
  const isDirectory = rule.endsWith("/");
  const body = isDirectory ? rule.slice(0, -1) : rule;
  const type = isDirectory ? "-type d " : "";
  if (/^[A-Za-z0-9._*?-]+$/.test(body) && !body.includes("**")) return `${type}-name '${body}'`;
  // `*` of `find -path` also matches slashes, so only plain paths are anchored here.
  const path = body.replace(/^\//, "");
  return /^[A-Za-z0-9._/-]+$/.test(path) && body.includes("/") ? `${type}-path './${path}'` : undefined;
}
