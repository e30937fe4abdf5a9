# The functions that the lines of work of a commit call, and what they are made of. A function works in the directory that
# `enter` went into and compared with where it should be; names in it are relative and begin with `./`.
#
# `$R` is the root and `$S` the stage, both absolute and real; `$ST` is the stage by an open descriptor, which no link can
# turn elsewhere. `$AT` is the directory that `enter` went into ('?': another one), `$CLOSED` the mode to give back to it
# when it is left, `$OP` the number of the line, `$K` where the line sets things aside, `$WHY` the reason of the last
# refusal. `$BAD` numbers the lines with a fault, `$FAULTS` has `LINE:NAME` of each; `$STOP` is why no further line is
# begun, `$NAME` the backup of this run, `$ASIDE` what of the state was set aside.
# Values: ASIDE_MARK, what the name of a thing gets that is in the way in the state directory and not ours.

NL='
'
nap() { sleep "$1" 2>/dev/null || sleep 1; }
is_there() { [ -e "$1" ] || [ -L "$1" ]; }
is_dir() { [ -d "$1" ] && [ ! -L "$1" ]; }
is_file() { [ -f "$1" ] && [ ! -L "$1" ]; }
# A file of the state that is worth reading: no more than so many bytes.
is_sane() { is_file "$1" && [ "$(wc -c <"$1")" -le "$2" ]; }
# Whether that is the first word of the text.
is_hash() { [ "${2%% *}" = "$1" ]; }
# Whether a link leads to exactly this text; `$(…)` alone would drop line breaks at its end.
is_link_to() {
  [ "$(
    readlink "$1"
    echo x
  )" = "$2${NL}x" ]
}
digest() { d=$(sha256sum <"$1" 2>/dev/null | cut -c 1-64); }

# Writes the report: a word, the faults, `end`.
say() {
  {
    echo "$1"
    [ -z "$NAME" ] || echo "backup $NAME"
    for a_ in $ASIDE; do echo "aside $a_"; done
    if [ -f "$ST/bad" ]; then cat "$ST/bad"; fi
    echo end
  } >"$ST/report.new" && mv -f "$ST/report.new" "$ST/report"
}
# bad LINE NAME CODE TEXT: notes a fault of one name of a line (`all`: of the whole line).
bad() {
  BAD="$BAD$1 "
  FAULTS="$FAULTS$1:$2 "
  printf '%s %s %s %s\n' "$1" "$2" "$3" "$(printf %s "$4" | tr '\n\r' '  ' | head -c 300)" >>"$ST/bad"
}
had_fault() {
  case " $FAULTS" in *" $1:all "* | *" $1:$2 "*) return 0 ;; esac
  return 1
}
# Runs a command; what it complains of is a fault of the line.
try() {
  e=$("$@" 2>&1) || {
    bad "$OP" all failed "$e"
    return 1
  }
}
# rename FROM TO: to where nothing is. A directory that comes below another one is written itself, as its `..` changes: a
# closed one is opened for that, and closed again wherever it is then.
rename() {
  m_=
  if is_closed "$1"; then m_=$(stat -c %a "$1") && chmod u+rwx "$1"; fi
  mv -n -T "$1" "$2"
  s_=$?
  [ -z "$m_" ] || {
    if is_there "$1"; then chmod "$m_" "$1"; else chmod "$m_" "$2"; fi
  }
  return $s_
}
# replace FILE-OR-LINK TO: over a file or link. The `mv` of busybox refuses a link that leads to a directory: that one
# goes first.
replace() {
  if [ ! -L "$2" ] || [ ! -d "$2" ]; then
    mv -f -T "$1" "$2"
  else
    mv -f -T "$1" "$2" 2>/dev/null || { rm -f "$2" && mv -n -T "$1" "$2"; }
  fi
}
is_closed() { is_dir "$1" && [ ! -w "$1" ]; }
# Sets aside what stands in the place of a file or directory of the state.
aside() { mv -n -T "$1" "$1$ASIDE_MARK$$" && ASIDE="$ASIDE $1"; }

# Gives the directory that is left its mode back.
leave() {
  if [ -n "$CLOSED" ]; then
    chmod "$CLOSED" .
    CLOSED=
  fi
}
# enter DIR: goes into a directory below the root ('': the root) and opens it if it is closed.
enter() {
  [ "$1" != "$AT" ] || return 0
  leave
  AT='?'
  cd -P "$R" || return 1
  if [ -n "$1" ]; then
    cd -P "./$1" 2>/dev/null || {
      WHY=missing
      return 1
    }
    # A link among the parents leads elsewhere (S25).
    [ "$PWD" = "$R/$1" ] || {
      WHY=outside
      return 1
    }
  fi
  AT=$1
  if [ ! -w . ]; then m=$(stat -c %a .) && chmod u+rwx . 2>/dev/null && CLOSED=$m; fi
  return 0
}
# walk PATH: makes what is missing of a path below the working directory and goes there, name by name.
walk() {
  rest_=$1/
  while [ -n "$rest_" ]; do
    part_=${rest_%%/*}
    rest_=${rest_#*/}
    here_=$PWD
    is_dir "./$part_" || mkdir "./$part_" 2>/dev/null || {
      WHY=missing
      return 1
    }
    # shellcheck disable=SC2015 # either may fail
    cd -P "./$part_" && [ "$PWD" = "$here_/$part_" ] || {
      WHY=outside
      return 1
    }
  done
}
# make DIR: has it made below the root where it is missing.
make() {
  [ ! -d "$R/$1" ] || return 0
  leave
  AT='?'
  cd -P "$R" && walk "$1"
}

# o LINE 'LINES' DIR FUNCTION…: the function in DIR, unless one of LINES had a fault or the commit is to stop.
o() {
  OP=$1
  if [ -z "$STOP" ] && [ -e "$ST/stop" ]; then STOP=interrupted; fi
  if [ -n "$STOP" ]; then
    bad "$OP" all skipped "$STOP"
    return
  fi
  if [ -n "$BAD" ]; then
    for d in $2; do
      case " $BAD" in
        *" $d "*)
          bad "$OP" all skipped 'a step it waits for was not done'
          return
          ;;
      esac
    done
  fi
  case $4 in P) make "$3" ;; esac
  enter "$3" || {
    not_there
    return
  }
  shift 3
  "$@"
}
not_there() { bad "$OP" all "$WHY" 'the directory is not where it should be'; }

# stage: sets `$K` to where this line sets things aside until they are verified.
stage() {
  K=$ST/o/$OP${AT:+/$AT}
  [ -d "$K" ] || mkdir -p "$K"
}
# backup: sets `$K` to the place of this directory in the backup of this run, entered like everything else.
backup() {
  [ -n "$NAME" ] || number || return 1
  exec 8<.
  # shellcheck disable=SC2015 # either may fail
  cd -P "$R/.agb-sync" && [ "$PWD" = "$R/.agb-sync" ] && walk "backup/$NAME${AT:+/$AT}" || {
    back
    return 1
  }
  exec 7<.
  K=/proc/self/fd/7
  [ -d "$K/." ] || K=$PWD
  back
}
back() {
  cd -P /proc/self/fd/8 2>/dev/null || cd -P "$R/$AT" || {
    AT='?'
    return 1
  }
  exec 8<&-
}
in_backup() {
  backup || {
    bad "$OP" all outside 'the backup leads outside'
    return 1
  }
}
# keep NAME: sets what stands there aside in `$K`, hard-linked where that goes: then it stays in place.
keep() { ln "./$1" "$K/$1" 2>/dev/null || mv -n -T "./$1" "$K/$1"; }

# T MODE NAME: a new directory with all that was staged in it.
T() {
  staged_=$ST/t/${AT:+$AT/}$2
  if is_there "./$2"; then
    bad "$OP" all appeared ''
  elif try mv -n -T "$staged_" "./$2" && is_there "$staged_"; then bad "$OP" all appeared ''; fi
}
# W n|r|b NAME…: staged files; n where nothing is, r over our own bytes, b over others', which go to the backup.
W() {
  f=$1
  shift
  case $f in
    r) stage ;;
    b) in_backup || return ;;
  esac
  k=0
  n=$#
  for x in "$@"; do
    if [ "$f" = n ]; then
      if is_there "./$x"; then bad "$OP" $k appeared ''; else set -- "$@" "./$x"; fi
    elif is_file "./$x"; then
      set -- "$@" "./$x"
    else bad "$OP" $k changed ''; fi
    k=$((k + 1))
  done
  shift $n
  [ $# -gt 0 ] || return
  # All at once where hard links go; each by itself where not.
  [ "$f" = n ] || ln "$@" "$K/" 2>/dev/null || for x in "$@"; do
    is_there "$K/${x#./}" || keep "${x#./}"
  done
  n=$#
  for x in "$@"; do set -- "$@" "$ST/t/${AT:+$AT/}${x#./}"; done
  shift $n
  if [ "$f" = n ]; then try mv -n -t . -- "$@"; else try mv -f -t . -- "$@"; fi
}
# L n|r|b TARGET NAME: a link.
L() {
  case $1 in
    n)
      if is_there "./$3"; then bad "$OP" all appeared ''; else try ln -s -- "$2" "./$3"; fi
      return
      ;;
    r) stage ;;
    b) in_backup || return ;;
  esac
  if is_dir "./$3" || ! is_there "./$3"; then
    bad "$OP" all changed ''
    return
  fi
  keep "$3"
  mkdir -p "$ST/l"
  try ln -s -- "$2" "$ST/l/$OP" && try replace "$ST/l/$OP" "./$3"
}
# H STEP NAME sets what takes part in a cycle aside.
H() {
  K=$ST/h/$1${AT:+/$AT}
  mkdir -p "$K"
  try rename "./$2" "$K/$2"
}
# P STEP PATH NAME puts it where it belongs.
P() { if is_there "./$3"; then bad "$OP" all appeared ''; else try rename "$ST/h/$1/$2" "./$3"; fi; }
# U STEP DIR NAME puts it back if that did not happen.
U() {
  w=$ST/h/$1/${2:+$2/}$3
  if is_there "$w" && enter "$2" && ! is_there "./$3"; then rename "$w" "./$3"; fi
}
# from: remembers the directory and what is to be closed in it; there: goes to another one; done_there: closes the first.
from() {
  exec 4<.
  D4=/proc/self/fd/4
  [ -d "$D4/." ] || D4=$PWD
  M4=$CLOSED
  CLOSED=
}
there() {
  # shellcheck disable=SC2015 # either may fail
  make "$1" && enter "$1" || {
    not_there
    return 1
  }
}
done_there() {
  [ -z "$M4" ] || chmod "$M4" "$D4/."
  exec 4<&-
}
# M DIR FROM TO: a file or directory, to another directory or name.
M() {
  from
  if there "$1"; then
    if is_there "./$3"; then bad "$OP" all appeared ''; else try rename "$D4/$2" "./$3"; fi
  fi
  done_there
}
# N DIR NAME…: neighbours that keep their names.
N() {
  to=$1
  shift
  k=0
  n=$#
  from
  if there "$to"; then
    for x in "$@"; do
      if is_there "./$x"; then
        bad "$OP" $k appeared ''
      elif is_closed "$D4/$x"; then
        e=$(rename "$D4/$x" "./$x" 2>&1) || bad "$OP" $k failed "$e"
      else set -- "$@" "$D4/$x"; fi
      k=$((k + 1))
    done
    shift $n
    [ $# -eq 0 ] || try mv -n -t . -- "$@"
  fi
  done_there
}
# C MODE NAME: a mode.
C() { if [ -L "./$2" ]; then bad "$OP" all changed ''; else try chmod "$1" "./$2"; fi; }
# X NAME…: files and links that go, set aside until they are verified.
X() {
  k=0
  n=$#
  stage
  for x in "$@"; do
    if is_dir "./$x"; then
      bad "$OP" $k changed ''
    elif is_there "./$x"; then set -- "$@" "./$x"; fi
    k=$((k + 1))
  done
  shift $n
  [ $# -eq 0 ] || try mv -n -t "$K" -- "$@"
}
# Y NAME: a directory, if nothing is left in it.
Y() {
  is_dir "./$1" || return 0
  e=$(rmdir "./$1" 2>&1) || case $e in
    *'not empty'*) ;;
    *) bad "$OP" all failed "$e" ;;
  esac
}
# B NAME: others' bytes that go, into the backup.
B() {
  in_backup || return
  if is_there "./$1"; then try mv -n -T "./$1" "$K/$1"; fi
}

# Before the work: A PATH: nothing is there; K PATH TARGET: this link is there. Otherwise the plan is stale.
A() { if is_there "$R/$1"; then quit stale; fi; }
K() { is_link_to "$R/$1" "$2" || quit stale; }

# After the work, whether what was set aside, and what was put into place, is what the plan says (S20, S34).
# restore LINE NUMBER DIR NAME DIGEST: somebody's bytes, `$w`, come back; where newer ones than ours, which have this
# digest, stand by now, they go into the backup.
restore() {
  enter "$3" || {
    bad "$1" "$2" "$WHY" ''
    return
  }
  d=
  is_file "./$4" && digest "./$4"
  if ! is_there "./$4"; then
    mv -n -T "$w" "./$4"
  elif [ -n "$5" ] && [ "$d" = "$5" ]; then
    mv -f -T "$w" "./$4"
  elif backup; then mv -n -T "$w" "$K/$4"; fi
  bad "$1" "$2" changed ''
}
# V LINE NUMBER DIR NAME DIGEST PLACED: what was set aside for PLACED (or nothing) is what the plan saw.
V() {
  w=$ST/o/$1/${3:+$3/}$4
  is_there "$w" || return 0
  d=
  is_file "$w" && digest "$w"
  [ "$d" = "$5" ] || restore "$1" "$2" "$3" "$4" "$6"
}
# VL LINE NUMBER DIR NAME TARGET PLACED: the same for a link.
VL() {
  w=$ST/o/$1/${3:+$3/}$4
  is_there "$w" || return 0
  is_link_to "$w" "$5" || restore "$1" "$2" "$3" "$4" "$6"
}
# F LINE NUMBER DIR NAME DIGEST: what was put into place is there.
F() {
  had_fault "$1" "$2" && return 0
  d=
  enter "$3" && is_file "./$4" && digest "./$4"
  [ "$d" = "$5" ] || bad "$1" "$2" changed ''
}
