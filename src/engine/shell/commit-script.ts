import { dirname, posix } from "node:path";
import { KEPT_BACKUPS } from "../../state/backup-names.ts";
import { TICKET_BYTES } from "../../state/lock.ts";
import { STEPS_STAGE } from "../../state/stage.ts";
import { ASIDE_MARK, LARGEST_STATE_BYTES } from "../../state/state-file.ts";
import { shellProgram } from "../../transport/shell-program.ts";
import { quoteForShell } from "../../transport/shell-quote.ts";
import { commitFunctions } from "./commit-functions.ts";
import type { Dialect } from "./dialect.ts";

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
  /** The same over the list `pre`: the staged files, and those that must be as the plan saw them. */
  readonly preSha256: string;
  /** The same over the list `checked`: what the writes and moves put into place, and what they set aside for it. */
  readonly checkedSha256: string;
  /** The same over the list `removed`: what the deletions set aside. */
  readonly removedSha256: string;
  /** The same over the list `adopted`: files that base learns of without a step. */
  readonly adoptedSha256: string;
  readonly baseGeneration: number;
  /** First bytes of a base of this session and root, to tell it from a foreign one. */
  readonly baseStart: string;
  /** SHA-256 of a stored base that cannot be used and is to be set aside; "" for none. */
  readonly unusableBaseSha256: string;
  /** First line of the new base, and how many lines follow it. */
  readonly baseHeader: string;
  /** Commands are due once this is done: that is noted before it begins. */
  readonly owes: boolean;
  readonly baseCount: number;
  /** The lock's ticket up to the time that it counts until, which the session's clock adds. */
  readonly ticketStart: string;
  /** What a backup's name begins with; its number, which orders backups, is the session's. */
  readonly backupTime: string;
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
  const isLink = isFresh ? "" : `[ ! -L ${quoteForShell(root)} ] || { echo 'agb-sync: leads outside' >&2; exit 1; }\n`;
  return `
${isLink}[ -d ${quoteForShell(parent)} ] || mkdir -p ${quoteForShell(parent)}; cd -P ${quoteForShell(parent)} || exit 1
for n in ${names.map(quoteForShell).join(" ")}; do
  here=$PWD; [ "$here" = / ] && here=
  if if [ -L "./$n" ]; then [ "$n" = stage ]; else [ -e "./$n" ] && [ ! -d "./$n" ]; fi; then mv "./$n" "./$n${ASIDE_MARK}$$"; fi
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
  const { root, applyId, isFresh } = input;
  const live = posix.join(root, ".agb-sync/stage", applyId, "report");
  return `
if [ -f ${quoteForShell(live)} ]; then cat ${quoteForShell(live)}; exit 0; fi
${enterStage(root, applyId, isFresh)}
if [ ! -e pid ]; then
printf '%s\\n' ${quoteForShell(commitScript(input))} >commit.$$
  if command -v setsid >/dev/null 2>&1; then own=setsid; elif command -v nohup >/dev/null 2>&1; then own=nohup; else own=; fi
  ( trap '' HUP; exec $own sh ./commit.$$ ) </dev/null >log.$$ 2>&1 &
  p=$!
  ${reportAfter(REPORT_S)}
  wait $p; kill $w 2>/dev/null
fi
i=0
while [ ! -f report ] && [ ! -f ${quoteForShell(live)} ]; do
  if [ -s pid ] && ! kill -0 "$(cat pid)" 2>/dev/null || { [ $i -gt 50 ] && [ ! -s pid ]; }; then
    [ -f report ] || [ -f ${quoteForShell(live)} ] || { echo died; cat log log.* 2>/dev/null | tail -c 300 | tr '\\n' ' '; echo; echo end; exit 0; }
  fi
  i=$((i+1)); [ $i -gt 300 ] && { echo running; echo end; exit 0; }
  sleep 0.1 2>/dev/null || sleep 1
done
if [ -f report ]; then cat report; ${isFresh ? `s=$PWD; cd /; rm -rf "$s";` : ""} else cat ${quoteForShell(live)}; fi`;
}

/**
 * Lines after which `wait` ends at the latest after so many seconds, with the report `running`. `$$` would be the
 * shell around the command, whose answer would be lost with it; `$w` is whom to stop when there is nothing to wait for.
 */
export function reportAfter(seconds: number): string {
  return `trap 'echo running; echo end; exit 0' USR1
  sh -c 'sleep ${seconds}; kill -USR1 $PPID' >/dev/null 2>&1 & w=$!`;
}

/**
 * Asks a commit to begin no further step and prints its report, or \`running\` if that is not there yet (S33). One that
 * was not begun never will be: its claim is taken, and the answer is \`stopped\`.
 */
export function stopCommand(root: string, applyId: string, isFresh: boolean): string {
  const live = quoteForShell(posix.join(root, ".agb-sync/stage", applyId, "report"));
  return `
if [ -f ${live} ]; then cat ${live}; exit 0; fi
cd -P ${quoteForShell(stageOf(root, applyId, isFresh))} 2>/dev/null || { echo stopped; echo end; exit 0; }
: >stop
set -C
if printf '' 2>/dev/null >pid; then echo stopped; echo end; cd ..; rm -rf ${quoteForShell(stageOf(root, applyId, isFresh))}; exit 0; fi
i=0
while [ ! -f report ] && [ ! -f ${live} ] && [ $i -lt 100 ]; do
  if [ -s pid ] && ! kill -0 "$(cat pid)" 2>/dev/null; then [ -f report ] || [ -f ${live} ] || { echo died; echo 'the work in the session is gone'; echo end; exit 0; }; fi
  i=$((i+1)); sleep 0.05 2>/dev/null || sleep 1
done
if [ -f ${live} ]; then cat ${live}; elif [ -f report ]; then cat report; else echo running; echo end; fi`;
}

function commitScript(input: CommitScriptInput): string {
  const { root, delivery, isFresh } = input;
  const q = quoteForShell;
  // The work itself takes the claim to be the only one: whoever starts it may be killed at any point before.
  return `set -C; echo $$ 2>/dev/null >pid || exit 0
set +C; exec >log 2>&1
LC_ALL=C; export LC_ALL; umask 022
S=$PWD; exec 3<.; ST=/proc/self/fd/3; [ -d "$ST/." ] || ST=$S
BAD=; FAULTS=; STOP=; AT='?'; CLOSED=; OP=; LOCKED=; RENEWAL=; ARCHIVE=; NAME=; FIRST=; ASIDE=
tidy() { cd /; [ ! -d "$ST/p" ] || find "$ST/p" -type d ! -perm -700 -exec chmod u+rwx {} \\;; rm -rf "$ST/p" "$ST/t" "$ST/h" "$ST/o" "$ST/l" "$ST/archive" "$ST"/n-* "$ST"/part-* ${lists.map((name) => `"$ST/${name}"`).join(" ")}; ${delivery.kind === "upload" ? `rm -f ${q(delivery.path)}; rmdir ${q(posix.dirname(delivery.path))} 2>/dev/null` : ":"}; }
# A signal to a shell that was forked this moment may be lost, so it is sent until nobody is there to take it.
release() { while [ -n "$RENEWAL" ] && kill "$RENEWAL" 2>/dev/null; do sleep 0.01 2>/dev/null || sleep 1; done; RENEWAL=; }
quit() { release; [ -n "$LOCKED" ] && rm -f "$LOCKED"; say "$1"; tidy; exit 0; }
trap 'quit failed' TERM INT HUP
${shellProgram(input.dialect.values([]), input.dialect.program)}
${commitFunctions()}

${
  delivery.kind === "upload"
    ? `i=0; while [ "$(stat -c %s ${q(delivery.path)} 2>/dev/null)" != ${delivery.sizeBytes} ]; do i=$((i+1)); [ $i -gt ${UPLOAD_LOOKS} ] && quit undelivered; sleep 0.05 2>/dev/null || sleep 1; done
ARCHIVE=${q(delivery.path)}; i=0
until is_hash ${input.archiveSha256} "$(sha256sum <"$ARCHIVE")"; do i=$((i+1)); [ $i -gt 40 ] && quit undelivered; sleep 0.25 2>/dev/null || sleep 1; done`
    : `${delivery.kind === "inline" ? `base64 -d >archive <<'${END_OF_ARCHIVE}'\n${delivery.base64}\n${END_OF_ARCHIVE}` : "cat part-* | base64 -d >archive; rm -f part-*"}
ARCHIVE=archive; is_hash ${input.archiveSha256} "$(sha256sum <archive)" || quit damaged`
}
tar -x${input.isCompressed ? "z" : ""}mpof "$ARCHIVE" -C "$ST" || { bad 0 all failed "$(tail -c 300 "$ST/log")"; quit failed; }
${delivery.kind === "parts" ? "rm -f archive; " : ""}[ -d t ] || mkdir t
. ./after
staged() { [ -z '${input.stagedSha256}' ] || is_hash '${input.stagedSha256}' "$(cd "$ST/t" && find . -type f ! -path './.agb-sync/*' -print0 | sort -z | hash_of)"; }
${isFresh ? freshPart(input) : inPlacePart(input)}`.concat(`\n: ${q(root)}`);
}

/** What an archive brings beside contents, and what the work makes of it. */
const lists =
  "after ops checks pre placed checked removed adopted others verify verify-removed base-added base-removed records adopted-records index base.new".split(
    " ",
  );
/** No base64 has such a line. */
const END_OF_ARCHIVE = "_";
/** How long one command waits for the report of the work. In seconds. */
const REPORT_S = 42;
/** Looks for an upload, twenty a second: half a minute for it to arrive. */
const UPLOAD_LOOKS = 600;
/** How long a ticket counts, and how often the work renews it. In seconds. */
const TICKET_S = 60;
const RENEW_S = 5;

/** Everything is in \`t\` already: the links and modes, the index, then one rename. */
function freshPart({ root, applyId, delivery }: CommitScriptInput): string {
  const q = quoteForShell;
  return `staged || quit damaged
R=$S/t; PARENT=\${S%/*}
. ./ops
leave; cd -P "$R" || quit failed
[ -z "$BAD" ] || quit failed
chmod 0700 .agb-sync; echo '*' >.agb-sync/.gitignore; sleep 0.02; list | index >.agb-sync/index.1
mkdir -p .agb-sync/stage/${q(applyId)}; printf 'done\\nend\\n' >.agb-sync/stage/${q(applyId)}/report
cd -P "$PARENT" || quit failed
[ ! -e "$ST/stop" ] || { bad 0 all skipped interrupted; quit stopped; }
if is_there ./${q(posix.basename(root))}; then quit stale; fi
mv -n -T "$ST/t" ./${q(posix.basename(root))} || quit failed
is_there "$ST/t" && quit stale
${delivery.kind === "upload" ? `rm -f ${q(delivery.path)}; rmdir ${q(posix.dirname(delivery.path))} 2>/dev/null` : ":"}
cd /; rm -rf "$S"`;
}

/**
 * Functions about backups, which work in the state directory with the lock held:
 *
 *     number     NAME for a backup that is made next. The counter, or the highest number there is, is counted up and stored
 *                before anything bears it: a number is used once, whatever the clocks say and whoever is killed
 *     rescue DIR what a commit that was cut off had set aside may be the only copy of somebody's bytes: it becomes a backup
 *     prune      takes all but the newest backups to the stage; none that this run made, none that is not ours (S42)
 */
function backupFunctions(time: string): string {
  const digits = (count: number) => "[0-9]".repeat(count);
  return `number() {
  n_=0; c_=; is_file "$G/counter" && c_=$(head -c 20 "$G/counter")
  for b_ in "$c_" "$G/backup/"${digits(8)}T${digits(6)}Z-??????*; do
    case \${b_##*-} in '' | *[!0-9]* | ????????????????*) ;; *) [ "\${b_##*-}" -le $n_ ] || n_=\${b_##*-} ;; esac
  done
  while :; do case $n_ in 0?*) n_=\${n_#0} ;; *) break ;; esac; done
  n_=$((n_+1)); echo $n_ >"$ST/counter" && mv -f -T "$ST/counter" "$G/counter" || return 1
  [ -n "$FIRST" ] || FIRST=$n_
  NAME=${time}-$(printf %06d $n_)
}
rescue() {
  for i in 1 2 3; do
    [ -n "$(find "$1/o" "$1/h" ! -type d 2>/dev/null | head -c 1)" ] || return 0
    NAME=; AT=; backup || return 1; AT='?'
    for x in "$1"/o/* "$1"/h/*; do
      ! is_dir "$x" || ( cd -P "$x" && find . ! -type d -exec sh -c 'K=$1; shift; for f; do mkdir -p "$K/\${f%/*}" && mv -n -T "$f" "$K/$f"; done' sh "$K" {} + )
    done
    NAME=
  done
  return 1
}
prune() {
  [ -n "$NAME" ] || return 0
  cd -P "$G" && mkdir -p "$ST/p" || return 0
  [ -z "$BAD" ] || { find "backup/$NAME" -depth -type d -exec rmdir {} \\; 2>/dev/null; is_dir "backup/$NAME" || NAME=; }
  for b in backup/${digits(8)}T${digits(6)}Z-??????*; do
    is_dir "$b" || continue
    n=\${b##*-}
    case $n in ????????????????*) continue ;; *[!0-9]*) case $n in *[!0-9a-f]* | ???????*) continue ;; esac; n=0 ;; esac
    echo "$n \${b#backup/}"
  done | sort -k 1,1n -k 2 >"$ST/p/list"
  c=$(wc -l <"$ST/p/list")
  while [ $c -gt ${KEPT_BACKUPS} ] && read -r n b && [ "$n" -lt "$FIRST" ]; do mv -n -T "backup/$b" "$ST/p/$b"; c=$((c-1)); done <"$ST/p/list"
}`;
}

function inPlacePart(input: CommitScriptInput): string {
  const { applyId, baseGeneration, baseStart, baseHeader } = input;
  const q = quoteForShell;
  const own = `${applyId}.json`;
  return `R=\${S%/.agb-sync/stage/*}
cd -P "$R/.agb-sync" || quit failed
[ "$PWD" = "$R/.agb-sync" ] || quit failed
exec 5<.; G=/proc/self/fd/5; [ -d "$G/." ] || G=$PWD
is_dir locks || ! is_there locks || aside locks; is_dir locks || mkdir -m 0700 locks; cd -P locks && [ "$PWD" = "$R/.agb-sync/locks" ] || { bad 0 all outside 'the locks lead outside'; quit failed; }
exec 6<.; LK=/proc/self/fd/6; [ -d "$LK/." ] || LK=$PWD
ticket() { printf '%s%s000}' ${q(input.ticketStart)} $(($(date +%s) + ${TICKET_S})) >"$LK/${own}$1"; }
renew() { trap 'exit 0' TERM; while :; do sleep ${RENEW_S} & wait $!; rm -f "$LK/${own}.new"; ticket .new && mv -f -T "$LK/${own}.new" "$LK/${own}" || exit 0; done; }
# One that is not complete yet counts for a moment, so the first needs no rename. Nothing is written through a link.
LOCKED=$LK/${own}; set -C; ticket || quit failed
renew & RENEWAL=$!; set +C
cd -P "$G" || quit failed
is_gone() { read -r p_ <"$1/pid"; ! kill -0 "$p_" 2>/dev/null; }
for f in "$LK"/*.json; do
  i=\${f##*/}; i=\${i%.json}
  [ "$i" = '${applyId}' ] && continue
  is_sane "$f" ${TICKET_BYTES} || continue
  if [ -s "stage/$i/pid" ] && is_gone "stage/$i"; then rm -f "$f"; continue; fi
  bad 0 all locked "$(base64 <"$f" | tr -d '\\n')"; quit locked
done
for f in base.json journal.json index.${baseGeneration} index.${baseGeneration + 1} counter; do ! is_there $f || is_sane $f ${LARGEST_STATE_BYTES} || aside $f || quit failed; done
! is_there backup || is_dir backup || aside backup
is_there .gitignore || { echo '*' >"$ST/gitignore" && mv -n -T "$ST/gitignore" .gitignore; }
${backupFunctions(input.backupTime)}
for d in stage/* "\${R%/*}/.\${R##*/}.agb-sync-"*; do
  [ "$d" = 'stage/${applyId}' ] || ! is_dir "$d" && continue
  # Work by file calls names its stage once it has the lock, which is ours by now.
  if case $d in stage/${STEPS_STAGE}*) ;; *) if [ -s "$d/pid" ]; then is_gone "$d"; else [ -n "$(find "$d" -maxdepth 0 -mmin +60 2>/dev/null)" ]; fi ;; esac
  then rescue "$d" && rm -rf "$d"; fi
done
base_is() {
  h=; [ -f base.json ] && IFS= read -r h <base.json
  case $h in
    ${q(baseStart)}*) case $h in *'"generation":${baseGeneration},'*) return 0 ;; *) return 1 ;; esac ;;
    *) [ ${baseGeneration} = 0 ] ;;
  esac
}
${
  input.unusableBaseSha256 === ""
    ? ""
    : `[ ! -f base.json ] || ! is_hash ${input.unusableBaseSha256} "$(sha256sum <base.json)" || { [ ! -d base.damaged ] || aside base.damaged; mv -f -T base.json base.damaged; } || quit failed`
}
base_is || quit stale
cd -P "$R"; . "$ST/checks"
cd "$ST/." || quit failed
[ -z '${input.preSha256}' ] || is_hash '${input.preSha256}' "$(hash_of <pre)" || { staged || quit damaged; quit stale; }
: >"$ST/records"
HEAD=${q(baseHeader)}
note() { { printf '%s\\n' "$HEAD"; cat "$ST/base-added"; } >"$ST/base.new" && chmod 0600 "$ST/base.new" && mv -f -T "$ST/base.new" "$G/journal.json"; }
${input.owes ? "# Which commands are due must be known before anything goes live (S40).\nnote || quit failed" : ":"}
checkpoint() {
  leave; AT='?'; cd -P "$R" || quit failed
  # An edit from now on changes the times that are written down here: it cannot be taken for what is hashed next (W31).
  sleep 0.02 2>/dev/null || sleep 1
  records <"$ST/placed" >"$ST/records"
  [ -z '${input.checkedSha256}' ] || is_hash '${input.checkedSha256}' "$(hash_of <"$ST/checked")" || . "$ST/verify"
  [ -z "$BAD" ] || [ -n "$STOP" ] || STOP='a write or move of this run failed'
}
AT='?'; . "$ST/ops"
leave; AT='?'; cd -P "$R" || quit failed
[ -z '${input.removedSha256}' ] || is_hash '${input.removedSha256}' "$(hash_of <"$ST/removed")" || . "$ST/verify-removed"
prune
if [ -n "$BAD" ]; then
  # Base is written by whoever asked for the commit: should that not come to it, the next scan knows what is ours.
  note
  release; LOCKED=; say partial; tidy; exit 0
fi
leave; cd -P "$R" || quit failed
IX=.agb-sync/index.${baseGeneration}; [ -f "$IX" ] || IX=/dev/null
records <"$ST/adopted" >"$ST/adopted-records"
[ -z '${input.adoptedSha256}' ] || is_hash '${input.adoptedSha256}' "$(hash_of <"$ST/adopted")" || : >"$ST/adopted-records"
{ list | known_to "$IX"; cat "$ST/records" "$ST/adopted-records"; records <"$ST/others"; } | index >"$ST/index"
cd -P "$G" || quit failed
{
  printf '%s\\n' "$HEAD"
  if [ ${baseGeneration} != 0 ]; then
    if [ -s "$ST/base-removed" ]; then tail -n +2 base.json | without "$ST/base-removed"; else tail -n +2 base.json; fi
  fi
  cat "$ST/base-added"
} >"$ST/base.new" && chmod 0600 "$ST/base.new" || { bad 0 all failed 'base could not be written'; quit failed; }
[ "$(wc -l <"$ST/base.new")" -eq $((${input.baseCount} + 1)) ] || { bad 0 all failed 'the new base has not the lines that it should have'; quit failed; }
# Whoever took the lock away, or another apply that came in between, has the last word on base.
[ -f "$LOCKED" ] && base_is || quit stale
mv -f -T "$ST/base.new" base.json || { bad 0 all failed 'base could not be written'; quit failed; }
mv -f -T "$ST/index" index.${baseGeneration + 1}; rm -f index.${baseGeneration} journal.json
quit done`;
}
