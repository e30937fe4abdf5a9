import { ASIDE_MARK } from "../../state/state-file.ts";

/**
 * The shell functions that the lines of work of a commit call. Inside them `$R` is the root and `$S` the stage, both
 * absolute and real; `$ST` is the stage by an open descriptor, which no link can turn elsewhere. A function works in the
 * directory that `enter` went into and compared with where it should be; names in it are relative and begin with `./`.
 *
 *     say WORD          writes the report: WORD, the faults, `end`
 *     is_hash HEX TEXT  whether that is the first word of the text
 *     bad OP POS CODE T notes a fault of one name of a line (`all`: of the whole line)
 *     o OP 'OPS' DIR F… runs `F…` in DIR unless one of OPS had a fault, or the commit is to stop
 *     keep NAME         sets what stands at NAME aside in the stage, hard-linked where that goes: it stays in place
 *     T, W, L, M, N, C, X, Y, B, H, P, U   the work itself, see each
 *     V, VL, F          after the work: is what was set aside, and what was put into place, what the plan says (S20, S34)
 */
export function commitFunctions(): string {
  const text = `
say() {
  { echo "$1"; [ -z "$NAME" ] || echo "backup $NAME"; for a_ in $ASIDE; do echo "aside $a_"; done; if [ -f "$ST/bad" ]; then cat "$ST/bad"; fi; echo end; } >"$ST/report.new" && mv -f "$ST/report.new" "$ST/report"
}
bad() {
  BAD="$BAD$1 "; FAULTS="$FAULTS$1:$2 "
  printf '%s %s %s %s\\n' "$1" "$2" "$3" "$(printf %s "$4" | tr '\\n\\r' '  ' | head -c 300)" >>"$ST/bad"
}
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
  if [ -z "$STOP" ] && [ -e "$ST/stop" ]; then STOP=interrupted; fi
  if [ -n "$STOP" ]; then bad "$OP" all skipped "$STOP"; return; fi
  if [ -n "$BAD" ]; then for d in $2; do case " $BAD" in *" $d "*) bad "$OP" all skipped 'a step it waits for was not done'; return ;; esac; done; fi
  case $4 in P) make "$3" ;; esac
  enter "$3" || { bad "$OP" all "$WHY" 'the directory is not where it should be'; return; }
  shift 3; "$@"
}
try() { e=$("$@" 2>&1) || { bad "$OP" all failed "$e"; return 1; }; }
is_there() { [ -e "$1" ] || [ -L "$1" ]; }
is_dir() { [ -d "$1" ] && [ ! -L "$1" ]; }
is_file() { [ -f "$1" ] && [ ! -L "$1" ]; }
is_sane() { is_file "$1" && [ "$(wc -c <"$1")" -le "$2" ]; }
aside() { mv -n -T "$1" "$1${ASIDE_MARK}$$" && ASIDE="$ASIDE $1"; }
is_hash() { [ "\${2%% *}" = "$1" ]; }
digest() { d=$(sha256sum <"$1" 2>/dev/null | cut -c 1-64); }
walk() {
  set -f; old=$IFS; IFS=/; set -- $1; IFS=$old; set +f
  for part in "$@"; do
    here=$PWD; is_dir "./$part" || mkdir "./$part" 2>/dev/null || { WHY=missing; return 1; }
    cd -P "./$part" && [ "$PWD" = "$here/$part" ] || { WHY=outside; return 1; }
  done
}
make() {
  [ -d "$R/$1" ] && return 0
  leave; AT='?'; cd -P "$R" && walk "$1"
}
back() { cd -P /proc/self/fd/8 2>/dev/null || cd -P "$R/$AT"; exec 8<&-; }
backup() {
  [ -n "$NAME" ] || number || return 1
  exec 8<.; cd -P "$R/.agb-sync" && [ "$PWD" = "$R/.agb-sync" ] && walk "backup/$NAME\${AT:+/$AT}" || { back; return 1; }
  exec 7<.; K=/proc/self/fd/7; [ -d "$K/." ] || K=$PWD
  back
}
stage() { K=$ST/o/$OP\${AT:+/$AT}; [ -d "$K" ] || mkdir -p "$K"; }
keep() { ln "./$1" "$K/$1" 2>/dev/null || mv -n -T "./$1" "$K/$1"; }
# T MODE NAME: a new directory with all that was staged in it
T() { if is_there "./$2"; then bad "$OP" all appeared ''; else try mv -n -T "$ST/t/\${AT:+$AT/}$2" "./$2" && { if is_there "$ST/t/\${AT:+$AT/}$2"; then bad "$OP" all appeared ''; fi; }; fi; }
# W n|r|b NAME…: staged files; n where nothing is, r over our own bytes, b over others' which go to the backup
W() {
  f=$1; shift; k=0; n=$#
  case $f in r) stage ;; b) backup || { bad "$OP" all outside 'the backup leads outside'; return; } ;; esac
  for x in "$@"; do
    if [ "$f" = n ]; then if is_there "./$x"; then bad "$OP" $k appeared ''; else set -- "$@" "./$x"; fi
    elif is_file "./$x"; then set -- "$@" "./$x"
    else bad "$OP" $k changed ''; fi
    k=$((k+1))
  done
  shift $n; [ $# -gt 0 ] || return
  [ "$f" = n ] || ln "$@" "$K/" 2>/dev/null || for x in "$@"; do is_there "$K/\${x#./}" || keep "\${x#./}"; done
  n=$#; for x in "$@"; do set -- "$@" "$ST/t/\${AT:+$AT/}\${x#./}"; done; shift $n
  if [ "$f" = n ]; then try mv -n -t . -- "$@"; else try mv -f -t . -- "$@"; fi
}
# L n|r|b TARGET NAME: a link
L() {
  case $1 in
    n) if is_there "./$3"; then bad "$OP" all appeared ''; else try ln -s -- "$2" "./$3"; fi; return ;;
    r) stage ;;
    b) backup || { bad "$OP" all outside 'the backup leads outside'; return; } ;;
  esac
  if is_dir "./$3" || ! is_there "./$3"; then bad "$OP" all changed ''; return; fi
  keep "$3"; mkdir -p "$ST/l"; try ln -s -- "$2" "$ST/l/$OP" && try mv -f -T "$ST/l/$OP" "./$3"
}
# H OP NAME sets a file of a cycle aside, P OP PATH NAME puts it where it belongs, U OP DIR NAME back if that did not happen
H() { K=$ST/h/$1\${AT:+/$AT}; mkdir -p "$K"; try mv -n -T "./$2" "$K/$2"; }
P() { if is_there "./$3"; then bad "$OP" all appeared ''; else try mv -n -T "$ST/h/$1/$2" "./$3"; fi; }
U() { w=$ST/h/$1/\${2:+$2/}$3; if is_there "$w" && enter "$2" && ! is_there "./$3"; then mv -n -T "$w" "./$3"; fi; }
# from: remembers the directory and what is to be closed in it; there: goes to another one; done_there: closes the first
from() { exec 4<.; D4=/proc/self/fd/4; [ -d "$D4/." ] || D4=$PWD; M4=$CLOSED; CLOSED=; }
there() { make "$1" && enter "$1" || { bad "$OP" all "$WHY" 'the directory is not where it should be'; return 1; }; }
done_there() { [ -z "$M4" ] || chmod "$M4" "$D4/."; exec 4<&-; }
# M DIR FROM TO: a file or directory, to another directory or name
M() {
  from
  if there "$1"; then if is_there "./$3"; then bad "$OP" all appeared ''; else try mv -n -T "$D4/$2" "./$3"; fi; fi
  done_there
}
# N DIR NAME…: neighbours that keep their names
N() {
  to=$1; shift; k=0; n=$#
  from
  if there "$to"; then
    for x in "$@"; do
      if is_there "./$x"; then bad "$OP" $k appeared ''; else set -- "$@" "$D4/$x"; fi
      k=$((k+1))
    done
    shift $n; [ $# -eq 0 ] || try mv -n -t . -- "$@"
  fi
  done_there
}
# C MODE NAME
C() { if [ -L "./$2" ]; then bad "$OP" all changed ''; else try chmod "$1" "./$2"; fi; }
# X NAME…: files and links that go, set aside until they are verified
X() {
  k=0; n=$#; stage
  for x in "$@"; do
    if is_dir "./$x"; then bad "$OP" $k changed ''; elif is_there "./$x"; then set -- "$@" "./$x"; fi
    k=$((k+1))
  done
  shift $n; [ $# -eq 0 ] || try mv -n -t "$K" -- "$@"
}
# Y NAME: a directory, if nothing is left in it
Y() { if is_dir "./$1"; then e=$(rmdir "./$1" 2>&1) || case $e in *'not empty'*) ;; *) bad "$OP" all failed "$e" ;; esac; fi; }
# B NAME: others' bytes that go, into the backup
B() { if backup; then if is_there "./$1"; then try mv -n -T "./$1" "$K/$1"; fi; else bad "$OP" all outside 'the backup leads outside'; fi; }
# A PATH: nothing is there; K PATH TARGET: this link is there; otherwise the plan is stale
A() { if is_there "$R/$1"; then quit stale; fi; }
K() { [ "$(readlink "$R/$1"; echo x)" = "$2
x" ] || quit stale; }
had_fault() { case " $FAULTS" in *" $1:all "* | *" $1:$2 "*) return 0 ;; esac; return 1; }
# restore OP POS DIR NAME DIGEST: somebody's bytes come back; where newer ones stand by now, into the backup
restore() {
  enter "$3" || { bad "$1" "$2" "$WHY" ''; return; }
  d=; is_file "./$4" && digest "./$4"
  if ! is_there "./$4"; then mv -n -T "$w" "./$4"
  elif [ -n "$5" ] && [ "$d" = "$5" ]; then mv -f -T "$w" "./$4"
  elif backup; then mv -n -T "$w" "$K/$4"; fi
  bad "$1" "$2" changed ''
}
# V OP POS DIR NAME DIGEST PLACED: what was set aside for PLACED (or nothing) is what the plan saw
V() {
  w=$ST/o/$1/\${3:+$3/}$4; is_there "$w" || return 0
  d=; is_file "$w" && digest "$w"
  [ "$d" = "$5" ] || restore "$1" "$2" "$3" "$4" "$6"
}
# VL OP POS DIR NAME TARGET PLACED: the same for a link
VL() {
  w=$ST/o/$1/\${3:+$3/}$4; is_there "$w" || return 0
  [ "$(readlink "$w"; echo x)" = "$5
x" ] || restore "$1" "$2" "$3" "$4" "$6"
}
# F OP POS DIR NAME DIGEST: what was put into place is there
F() {
  had_fault "$1" "$2" && return 0
  d=; enter "$3" && is_file "./$4" && digest "./$4"
  [ "$d" = "$5" ] || bad "$1" "$2" changed ''
}
`;
  // The message has little room: remarks stay here.
  return text.replaceAll(/^#.*\n| +(?=\S)/gm, (part) => (part.startsWith("#") ? "" : " "));
}
