# Makes the stage of a commit and goes into it. Every directory of it is entered and compared with where it should be: a
# link put in the way leads nowhere (S25).
# Values: ROOT; TOP and BELOW: the stage lies at BELOW, one or more names, in the directory TOP; FRESH: ROOT is not there
# and TOP is its parent; else TOP is ROOT; ASIDE_MARK: what the name of a thing gets that is in the way and not ours.

enter_stage() {
  [ -n "$FRESH" ] || [ ! -L "$ROOT" ] || leads_outside
  [ -d "$TOP" ] || mkdir -p "$TOP"
  cd -P "$TOP" || exit 1
  rest_=$BELOW/
  while [ -n "$rest_" ]; do
    enter_own "${rest_%%/*}"
    rest_=${rest_#*/}
  done
}
# One directory of the state, made where it is missing.
enter_own() {
  here_=${PWD%/}
  if is_odd "$1"; then mv "./$1" "./$1$ASIDE_MARK$$"; fi
  # Of two that make it at the same time one fails.
  [ -d "./$1" ] || mkdir -m 0700 "./$1" 2>/dev/null || [ -d "./$1" ] || mkdir -m 0700 "./$1" || exit 1
  cd -P "./$1" || exit 1
  [ "$PWD" = "$here_/$1" ] || leads_outside
}
# Not a directory. A link is the business of whoever made it, but for `stage`, which is ours alone.
is_odd() {
  if [ -L "./$1" ]; then [ "$1" = stage ]; else [ -e "./$1" ] && [ ! -d "./$1" ]; fi
}
leads_outside() {
  echo 'agb-sync: leads outside' >&2
  exit 1
}
