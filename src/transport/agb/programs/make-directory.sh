# Makes a directory with all its parents, and enters each. A directory that was there keeps its mode.
# Values: ROOT, DIR; MODE: for what was made; empty: as the session makes it.

mkdir -p "$ROOT" || exit 1
go "$ROOT"
new=
rest=$DIR${DIR:+/}
while [ -n "$rest" ]; do
  n=${rest%%/*}
  rest=${rest#*/}
  new=
  if [ ! -d "./$n" ]; then
    if mkdir "./$n" 2>/dev/null; then
      new=1
    elif [ ! -d "./$n" ]; then
      # Said aloud.
      mkdir "./$n"
      exit 1
    fi
  fi
  here=${PWD%/}
  go "./$n"
  [ "$PWD" = "$here/$n" ] || fail 'agb-sync: leads outside'
done
if [ -n "$new" ] && [ -n "$MODE" ]; then chmod "$MODE" .; fi
