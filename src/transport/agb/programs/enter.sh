# Functions that go into directories of a session. Before anything is changed the directory is entered and compared with
# where it should be, and the change is made from there: a link in the way, or one that comes later, leads nowhere (S25).
# Values: ROOT; more where a function says so.

fail() {
  echo "$1" >&2
  exit 1
}
is_there() { [ -e "$1" ] || [ -L "$1" ]; }
is_dir() { [ -d "$1" ] && [ ! -L "$1" ]; }
# `cd` of a plain sh does not say why it failed.
go() {
  cd -P "$1" 2>/dev/null && return
  if [ -d "$1" ]; then fail 'Permission denied'; fi
  if is_there "$1"; then fail 'Not a directory'; fi
  fail 'No such file or directory'
}
# enter DIR: a directory below ROOT; '': ROOT itself.
enter() {
  go "$ROOT"
  [ -n "$1" ] || return 0
  top_=${PWD%/}
  go "./$1"
  [ "$PWD" = "$top_/$1" ] || fail 'agb-sync: leads outside'
}
