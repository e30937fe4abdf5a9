import { randomBytes } from "node:crypto";
import { dirname, posix } from "node:path";
import { quoteForShell } from "../../transport/shell-quote.ts";
import type { Dialect } from "./dialect.ts";
import { functionsOf } from "./scan-script.ts";

/** How the archive reaches the script. */
export type Delivery =
  | { readonly kind: "inline"; readonly base64: string }
  /** Base64 text in `part-*` files of the stage. */
  | { readonly kind: "parts" }
  | { readonly kind: "upload"; readonly path: string; readonly sizeBytes: number };

export type CommitScriptInput = {
  readonly dialect: Dialect;
  /** The archive is compressed by gzip. */
  readonly isCompressed: boolean;
  readonly root: string;
  readonly applyId: string;
  /** The root is not there: it is built beside its place and goes live by one rename (S4). */
  readonly isFresh: boolean;
  readonly delivery: Delivery;
  readonly archiveSha256: string;
  /** What `hash_of` gives for the staged files, in path order; "" when there are none. */
  readonly stagedSha256: string;
  /** The same over the files that must be as the plan saw them, in the order of the list `pre`. */
  readonly beforeSha256: string;
  /** The same over the files of the list `files` once everything is in place. */
  readonly afterSha256: string;
  readonly baseGeneration: number;
  /** First bytes of a base of this session and root, to tell it from a foreign one. */
  readonly baseStart: string;
  /** First line of the new base. */
  readonly baseHeader: string;
  readonly ticket: string;
  readonly backupName: string;
};

/** Where a commit keeps what it works with. */
export function stageOf(root: string, applyId: string, isFresh: boolean): string {
  return isFresh
    ? posix.join(dirname(root), `.${posix.basename(root)}.agb-sync-${applyId}`)
    : posix.join(root, ".agb-sync/stage", applyId);
}

/**
 * Makes the stage directory safely: every component is entered and compared with where it should be.
 * Also the first lines of the commit itself, so that it can be the only command.
 */
export function enterStage(root: string, applyId: string, isFresh: boolean): string {
  const parent = isFresh ? dirname(root) : root;
  const names = isFresh ? [posix.basename(stageOf(root, applyId, true))] : [".agb-sync", "stage", applyId];
  return `
mkdir -p ${quoteForShell(parent)} && cd -P ${quoteForShell(parent)} || exit 1
for n in ${names.map(quoteForShell).join(" ")}; do
  here=$PWD; [ "$here" = / ] && here=
  [ -d "./$n" ] || mkdir -m 0700 "./$n" 2>/dev/null || [ -d "./$n" ] || mkdir -m 0700 "./$n" || exit 1
  cd -P "./$n" || exit 1
  [ "$PWD" = "$here/$n" ] || { echo 'agb-sync: leads outside' >&2; exit 1; }
done`;
}

/**
 * The command of a commit. It starts the work in the background of the session, once however often it is sent, waits
 * for its report and prints it: a first word (\`done\`, \`partial\`, \`stale\`, \`locked\`, \`damaged\`, \`failed\`, \`running\`,
 * \`died\`), one line for each step that did not go well, and \`end\`.
 */
export function commitCommand(input: CommitScriptInput): string {
  const { root, applyId, isFresh, delivery } = input;
  const end = `AGB_SYNC_${randomBytes(6).toString("hex")}`;
  const live = posix.join(root, ".agb-sync/stage", applyId, "report");
  return `
if [ -f ${quoteForShell(live)} ]; then cat ${quoteForShell(live)}; exit 0; fi
${enterStage(root, applyId, isFresh)}
if [ ! -d run ]; then
cat >commit.$$ <<'${end}'
${commitScript(input)}
${end}
${delivery.kind === "inline" ? `printf %s ${delivery.base64} | base64 -d >archive.$$ && mv -f archive.$$ archive` : ""}
  if command -v setsid >/dev/null 2>&1; then setsid sh ./commit.$$ </dev/null >log.$$ 2>&1 & else nohup sh ./commit.$$ </dev/null >log.$$ 2>&1 & fi
  p=$!
  ( sleep 42; kill -USR1 $$ ) >/dev/null 2>&1 & w=$!
  trap 'echo running; echo end; exit 0' USR1
  wait $p; kill $w 2>/dev/null
fi
i=0
while [ ! -f report ] && [ ! -f ${quoteForShell(live)} ]; do
  if [ -s run/pid ] && ! kill -0 "$(cat run/pid)" 2>/dev/null || { [ $i -gt 50 ] && [ ! -s run/pid ]; }; then
    [ -f report ] || [ -f ${quoteForShell(live)} ] || { echo died; cat log.* 2>/dev/null | tail -c 300 | tr '\\n' ' '; echo; echo end; exit 0; }
  fi
  i=$((i+1)); [ $i -gt 300 ] && { echo running; echo end; exit 0; }
  sleep 0.1 2>/dev/null || sleep 1
done
if [ -f report ]; then cat report; ${isFresh ? `s=$PWD; cd /; rm -rf "$s";` : ""} else cat ${quoteForShell(live)}; fi`;
}

function commitScript(input: CommitScriptInput): string {
  const { root, delivery, isFresh } = input;
  const q = quoteForShell;
  // The work itself takes the claim to be the only one: whoever starts it may be killed at any point before.
  return `mkdir run 2>/dev/null || exit 0
echo $$ >run/pid.new && mv -f run/pid.new run/pid; exec >log 2>&1
LC_ALL=C; export LC_ALL; umask 022
S=$PWD; exec 3<.; ST=/proc/self/fd/3; [ -d "$ST/." ] || ST=$S
BAD=; STOP=; AT='?'; CLOSED=; OP=
say() {
  { echo "$1"; if [ -f "$ST/bad" ]; then cat "$ST/bad"; fi; echo end; } >"$ST/report.new" && mv -f "$ST/report.new" "$ST/report"
}
tidy() { cd /; rm -rf "$ST/t" "$ST/h" "$ST/archive" "$ST"/part-* "$ST/pre" "$ST/files" "$ST/others" "$ST/ops" "$ST/base-added" "$ST/base-removed"; }
quit() { [ -n "$LOCKED" ] && rm -f "$LOCKED"; say "$1"; tidy; exit 0; }
trap 'quit failed' TERM INT HUP
${functionsOf(input.dialect)}
bad() { BAD="$BAD$1 "; printf '%s %s %s %s\\n' "$1" "$2" "$3" "$(printf %s "$4" | tr '\\n\\r' '  ' | head -c 300)" >>"$ST/bad"; }
leave() { if [ -n "$CLOSED" ]; then chmod "$CLOSED" .; CLOSED=; fi; }
enter() {
  [ "$1" = "$AT" ] && return 0
  leave; AT='?'; cd -P "$R" || return 1
  if [ -n "$1" ]; then cd -P "./$1" 2>/dev/null || { WHY=missing; return 1; }; [ "$PWD" = "$R/$1" ] || { WHY=outside; return 1; }; fi
  AT=$1
  if [ ! -w . ]; then m=$(stat -c %a .) && chmod u+rwx . 2>/dev/null && CLOSED=$m; fi
  return 0
}
o() {
  OP=$1
  if [ -n "$STOP" ]; then bad "$OP" all skipped 'a write or move of this run failed'; return; fi
  if [ -n "$BAD" ]; then for d in $2; do case " $BAD" in *" $d "*) bad "$OP" all skipped 'a step it waits for was not done'; return ;; esac; done; fi
  case $4 in P) make "$3" ;; esac
  enter "$3" || { bad "$OP" all "$WHY" 'the directory is not where it should be'; return; }
  shift 3; "$@"
}
only_if_all_went_well() { [ -z "$BAD" ] || STOP=1; }
try() { e=$("$@" 2>&1) || { bad "$OP" all failed "$e"; return 1; }; }
is_there() { [ -e "$1" ] || [ -L "$1" ]; }
is_dir() { [ -d "$1" ] && [ ! -L "$1" ]; }
make() {
  [ -d "$R/$1" ] && return 0
  leave; AT='?'; cd -P "$R" || return 1
  set -f; old=$IFS; IFS=/; set -- $1; IFS=$old; set +f
  for n in "$@"; do
    here=$PWD; is_dir "./$n" || mkdir "./$n" 2>/dev/null || { WHY=missing; return 1; }
    cd -P "./$n" && [ "$PWD" = "$here/$n" ] || { WHY=outside; return 1; }
  done
}
T() { if is_there "./$2"; then bad "$OP" all appeared ''; else try mv -n -T "$ST/t/\${AT:+$AT/}$2" "./$2" && { if is_there "$ST/t/\${AT:+$AT/}$2"; then bad "$OP" all appeared ''; fi; }; fi; }
W() {
  f=$1; shift; k=0; n=$#
  for x in "$@"; do
    if [ "$f" = n ] && is_there "./$x"; then bad "$OP" $k appeared ''
    elif is_dir "./$x"; then bad "$OP" $k appeared ''
    else set -- "$@" "$ST/t/\${AT:+$AT/}$x"; fi
    k=$((k+1))
  done
  shift $n; [ $# -gt 0 ] || return
  if [ "$f" = n ]; then try mv -n -t . -- "$@"; else try mv -f -t . -- "$@"; fi
}
H() { mkdir -p "$ST/h"; try mv -n -T "./$2" "$ST/h/$1"; }
P() { if is_there "./$2"; then bad "$OP" all appeared ''; else try mv -n -T "$ST/h/$1" "./$2"; fi; }
U() { if is_there "$ST/h/$1" && ! is_there "./$2"; then mv -n -T "$ST/h/$1" "./$2"; fi; }
M() {
  exec 4<.; from=/proc/self/fd/4; [ -d "$from/." ] || from=$PWD
  m=$CLOSED; CLOSED=
  if make "$1" && enter "$1"; then
    if is_there "./$3"; then bad "$OP" all appeared ''; else try mv -n -T "$from/$2" "./$3"; fi
  else bad "$OP" all "$WHY" 'the directory is not where it should be'; fi
  [ -z "$m" ] || chmod "$m" "$from/."
  exec 4<&-
}
N() {
  to=$1; shift; k=0; n=$#
  exec 4<.; from=/proc/self/fd/4; [ -d "$from/." ] || from=$PWD
  m=$CLOSED; CLOSED=
  if make "$to" && enter "$to"; then
    for x in "$@"; do
      if is_there "./$x"; then bad "$OP" $k appeared ''; else set -- "$@" "$from/$x"; fi
      k=$((k+1))
    done
    shift $n; [ $# -eq 0 ] || try mv -n -t . -- "$@"
  else bad "$OP" all "$WHY" 'the directory is not where it should be'; fi
  [ -z "$m" ] || chmod "$m" "$from/."
  exec 4<&-
}
L() { if is_there "./$2"; then bad "$OP" all appeared ''; else try ln -s -- "$1" "./$2"; fi; }
C() { if [ -L "./$2" ]; then bad "$OP" all changed ''; else try chmod "$1" "./$2"; fi; }
X() {
  k=0; n=$#
  for x in "$@"; do if is_dir "./$x"; then bad "$OP" $k changed ''; else set -- "$@" "./$x"; fi; k=$((k+1)); done
  shift $n; [ $# -eq 0 ] || try rm -f -- "$@"
}
Y() { if is_dir "./$1"; then e=$(rmdir "./$1" 2>&1) || case $e in *'not empty'*) ;; *) bad "$OP" all failed "$e" ;; esac; fi; }
B() { d=$R/.agb-sync/backup/${input.backupName}/$AT; mkdir -p "$d" && d=$(cd -P "$d" && pwd) && case $d/ in "$R/.agb-sync/backup/"*) try mv -n -T "./$1" "$d/$1" ;; *) bad "$OP" all outside 'the backup leads outside' ;; esac; }
A() { if is_there "$R/$1"; then quit stale; fi; }
K() { [ "$(readlink "$R/$1"; echo x)" = "$2
x" ] || quit stale; }

${
  delivery.kind === "upload"
    ? `i=0; while [ "$(stat -c %s ${q(delivery.path)} 2>/dev/null)" != ${delivery.sizeBytes} ]; do i=$((i+1)); [ $i -gt 3000 ] && quit damaged; sleep 0.05; done
ARCHIVE=${q(delivery.path)}; i=0
while [ "$(sha256sum <"$ARCHIVE" | cut -c 1-64)" != ${input.archiveSha256} ]; do i=$((i+1)); [ $i -gt 40 ] && quit damaged; sleep 0.25; done`
    : `${delivery.kind === "parts" ? "cat part-* | base64 -d >archive; rm -f part-*" : ""}
ARCHIVE=archive; [ "$(sha256sum <archive | cut -c 1-64)" = ${input.archiveSha256} ] || quit damaged`
}
tar -x${input.isCompressed ? "z" : ""}mpof "$ARCHIVE" -C "$ST" || { bad 0 all failed "$(tail -c 300 "$ST/log")"; quit failed; }
rm -f archive; [ -d t ] || mkdir t
. ./after
got=$(cd t && find . -type f ! -path './.agb-sync/*' -print0 | sort -z | hash_of)
[ -z '${input.stagedSha256}' ] || [ "$got" = '${input.stagedSha256}' ] || quit damaged
${isFresh ? freshPart(input) : inPlacePart(input)}`.concat(`\n: ${q(root)}`);
}

/** Everything is in \`t\` already: the links and modes, the index, then one rename. */
function freshPart({ root, applyId }: CommitScriptInput): string {
  const q = quoteForShell;
  return `R=$S/t; PARENT=\${S%/*}
. ./ops
leave; cd -P "$R" || quit failed
[ -z "$BAD" ] || quit failed
chmod 0700 .agb-sync; sleep 0.02; list | index >.agb-sync/index.1
mkdir -p .agb-sync/stage/${q(applyId)}; printf 'done\\nend\\n' >.agb-sync/stage/${q(applyId)}/report
cd -P "$PARENT" || quit failed
if is_there ./${q(posix.basename(root))}; then quit stale; fi
mv -n -T "$ST/t" ./${q(posix.basename(root))} || quit failed
is_there "$ST/t" && quit stale
cd /; rm -rf "$S"`;
}

function inPlacePart(input: CommitScriptInput): string {
  const { applyId, baseGeneration, baseStart, baseHeader, ticket } = input;
  const q = quoteForShell;
  const own = `${applyId}.json`;
  return `R=\${S%/.agb-sync/stage/*}
cd -P "$R/.agb-sync" || quit failed
[ "$PWD" = "$R/.agb-sync" ] || quit failed
exec 5<.; G=/proc/self/fd/5; [ -d "$G/." ] || G=$PWD
mkdir -p -m 0700 locks; LOCKED=$R/.agb-sync/locks/${own}
printf %s ${q(ticket)} >"locks/${own}.new" && mv -f "locks/${own}.new" "locks/${own}" || quit failed
for f in locks/*.json; do
  [ "$f" = 'locks/${own}' ] && continue
  [ -f "$f" ] || continue
  bad 0 all locked "$(base64 <"$f" | tr -d '\\n')"; quit locked
done
for d in stage/*; do [ "$d" = 'stage/${applyId}' ] || { [ -f "$d/report" ] || [ -n "$(find "$d" -maxdepth 0 -mmin +60 2>/dev/null)" ]; } && [ "$d" != 'stage/${applyId}' ] && rm -rf "$d"; done
h=; [ -f base.json ] && IFS= read -r h <base.json
case $h in
  ${q(baseStart)}*) case $h in *'"generation":${baseGeneration},'*) ;; *) quit stale ;; esac ;;
  *) [ ${baseGeneration} = 0 ] || quit stale ;;
esac
cd -P "$R"; . "$ST/checks"
if [ -n '${input.beforeSha256}' ]; then cd -P "$R"; [ "$(hash_of <"$ST/pre")" = '${input.beforeSha256}' ] || quit stale; fi
AT='?'; . "$ST/ops"
leave
if [ -n "$BAD" ]; then LOCKED=; say partial; tidy; exit 0; fi
cd -P "$R" || quit failed
IX=.agb-sync/index.${baseGeneration}; [ -f "$IX" ] || IX=/dev/null
sleep 0.02
{ list | known_to "$IX"; cat "$ST/files" "$ST/others" | records; } | index >"$ST/index"
if [ -n '${input.afterSha256}' ] && [ "$(hash_of <"$ST/files")" != '${input.afterSha256}' ]; then
  list | known_to "$IX" | index >"$ST/index"
fi
cd -P "$G" || quit failed
{
  printf '%s\\n' ${q(baseHeader)}
  if [ ${baseGeneration} != 0 ]; then
    if [ -s "$ST/base-removed" ]; then tail -n +2 base.json | without "$ST/base-removed"; else tail -n +2 base.json; fi
  fi
  cat "$ST/base-added"
} >"$ST/base.new" && chmod 0600 "$ST/base.new" && mv -f "$ST/base.new" base.json || { bad 0 all failed 'base could not be written'; quit failed; }
mv -f "$ST/index" index.${baseGeneration + 1}; rm -f index.${baseGeneration}
quit done`;
}
