import { quoteForShell } from "../../transport/shell-quote.ts";
import type { Digest } from "../../tree/digest.ts";
import type { FindWords } from "../find-records.ts";
import type { Dialect } from "./dialect.ts";

/** What the session is asked to look at. */
export type ScanScriptInput = {
  readonly dialect: Dialect;
  /** `gzip` is there to make the answer small. */
  readonly compresses: boolean;
  readonly root: string;
  readonly sessionId: string;
  /** `find` tests whose matches are neither listed nor entered. */
  readonly prunes: readonly FindWords[];
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
 * A read-only command. It answers `missing`, `notdir`, `same`, or `tree` and, as base64 (of gzip): base and the journal,
 * each after its length, then records — those equal to the index after a tab — then `#` and the digests of what was
 * changed.
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
  if [ ! -f .agb-sync/journal.json ] && [ -f "$IX" ] && [ "$(count <"$IX")" -eq $((c+1)) ] && ${needsUnmanaged ? "just" : "all_in"} "$IX"; then echo same; exit 0; fi ;;
esac`;
  return `
[ ! -L ${quoteForShell(root)} ] || { echo notdir; exit 0; }
cd -P ${quoteForShell(root)} 2>/dev/null || { if [ -d ${quoteForShell(root)} ]; then echo 'Permission denied' >&2; exit 1; elif [ -e ${quoteForShell(root)} ] || [ -L ${quoteForShell(root)} ]; then echo notdir; else echo missing; fi; exit 0; }
${input.dialect.functions(input.prunes)}
h=; [ -f .agb-sync/base.json ] && IFS= read -r h <.agb-sync/base.json
g=\${h#*'"generation":'}; g=\${g%%,*}; case $g in ''|*[!0-9]*) g=none ;; esac
IX=.agb-sync/index.$g; [ -f "$IX" ] ${input.checksum ? "&& false " : ""}|| IX=/dev/null
${same}
echo tree
{
  for f in base journal; do
    f=.agb-sync/$f.json
    if [ -f $f ]; then printf '%s\\0' "$(wc -c <$f | tr -d ' ')"; cat $f; else printf '0\\0'; fi
  done
  list_all | marked "$IX" | out
  printf '#\\0'
  ${hashing(input.hashUpToBytes)}
} | ${input.compresses ? "gzip -1 | " : ""}base64`;
}

/** Hashes what the index does not know, unless that is too much to be done in one answer. */
function hashing(upToBytes: number): string {
  if (upToBytes === 0) return ":";
  return `t=0; for n in $(list | new_to "$IX" | sizes); do t=$((t+n)); done
  [ $t -gt ${upToBytes} ] || list | new_to "$IX" | paths | hash_each | out`;
}
