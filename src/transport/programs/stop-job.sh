# Ends a job with all that it started: asked first, made to after GRACE twentieths of a second. One that has not begun
# yet never will. Its processes are found by group and by descent, because without setsid they have no group of their
# own; where there is no /proc, only the group and the first process are reached.
# Values: DIRECTORY, GRACE, REMOVES: what the job kept goes too.

stop() {
  cd "$DIRECTORY" 2>/dev/null || return 0
  mkdir claim 2>/dev/null && return 0
  if sleep 0.05 2>/dev/null; then
    nap=0.05
    ticks=1
  else
    nap=1
    ticks=20
  fi
  n=0
  while [ ! -s pid ] && [ $n -lt 40 ]; do
    sleep $nap
    n=$((n + ticks))
  done
  first=$(cat pid 2>/dev/null)
  if [ -z "$first" ] || [ -e status ]; then return 0; fi
  find_mine
  # shellcheck disable=SC2086 # several numbers
  kill -TERM $mine 2>/dev/null
  kill -TERM -- "-$first" 2>/dev/null
  n=0
  while lives && [ $n -lt "$GRACE" ]; do
    sleep $nap
    n=$((n + ticks))
  done
  # shellcheck disable=SC2086 # several numbers
  kill -KILL $mine 2>/dev/null
  kill -KILL -- "-$first" 2>/dev/null
}
# The processes that descend from the first one, or belong to its group.
find_mine() {
  all=$(sed 's/^\([0-9]*\) (.*) . \([0-9]*\) \([0-9]*\) .*/\1 \2 \3/' /proc/[0-9]*/stat 2>/dev/null)
  mine=" $first "
  more=1
  while [ -n "$more" ]; do
    more=
    while read -r pid parent group; do
      case "$mine" in *" $pid "*) continue ;; esac
      case "$mine" in
        *" $parent "*) ;;
        *) [ "$group" = "$first" ] || continue ;;
      esac
      mine="$mine$pid "
      more=1
    done <<END
$all
END
  done
}
lives() {
  [ -d /proc/self ] || {
    kill -0 "$first" 2>/dev/null
    return
  }
  for one in $mine; do
    case "$(cat "/proc/$one/stat" 2>/dev/null)" in '' | *') Z '*) ;; *) return 0 ;; esac
  done
  return 1
}

(stop)
[ -z "$REMOVES" ] || rm -rf "$DIRECTORY"
