# Functions of a commit about backups. They work with the lock held; `$G` is the state directory by an open descriptor.
# Values: BACKUP_TIME: what the name of a backup begins with; KEPT_BACKUPS: how many stay.

# shellcheck disable=SC2034,SC2231 # `AT` is read elsewhere; no blank is in a stamp

# How the names of backups begin: 20260102T030405Z-.
D2='[0-9][0-9]'
STAMP="$D2$D2$D2${D2}T$D2$D2${D2}Z"

# number: sets `$NAME` for a backup that is made next. The counter, or the highest number there is, is counted up and
# stored before anything bears it: a number is used once, whatever the clocks say and whoever is killed.
number() {
  n_=0
  c_=
  is_file "$G/counter" && c_=$(head -c 20 "$G/counter")
  # Fifteen digits are more than there will ever be, and what every shell can count with. Of a name only twelve count, so
  # that a foreign directory with the highest number leaves room above it.
  for b_ in "$c_" "$G/backup/"$STAMP-??????*; do
    case $b_ in
      */*) is_long "${b_##*-}" && continue ;;
    esac
    b_=${b_##*-}
    case $b_ in
      '' | *[!0-9]* | ????????????????*) ;;
      *) [ "$b_" -le "$n_" ] || n_=$b_ ;;
    esac
  done
  # With zeros in front it would be octal.
  while :; do
    case $n_ in
      0?*) n_=${n_#0} ;;
      *) break ;;
    esac
  done
  n_=$((n_ + 1))
  while set -- "$G/backup/"*-"$(printf %06d "$n_")" && is_dir "$1"; do n_=$((n_ + 1)); done
  echo "$n_" >"$ST/counter" && mv -f -T "$ST/counter" "$G/counter" || return 1
  [ -n "$FIRST" ] || FIRST=$n_
  NAME=$BACKUP_TIME-$(printf %06d "$n_")
}
# is_long NUMBER: more than twelve digits.
is_long() {
  case $1 in
    ?????????????*) true ;;
    *) false ;;
  esac
}
# rescue DIR: what a commit that was cut off had set aside may be the only copy of somebody's bytes: it becomes a backup.
# What several lines set aside under one path needs a backup for each. False when something is still left.
rescue() {
  # What a closed directory holds cannot be taken out of it.
  find "$1/o" "$1/h" -type d ! -perm -700 -exec chmod u+rwx {} \; 2>/dev/null
  for _ in 1 2 3; do
    [ -n "$(find "$1/o" "$1/h" ! -type d 2>/dev/null | head -c 1)" ] || return 0
    NAME=
    AT=
    backup || return 1
    AT='?'
    for x in "$1"/o/* "$1"/h/*; do
      ! is_dir "$x" || (cd -P "$x" && find . ! -type d -exec sh -c "$TAKE" sh "$K" {} +)
    done
    NAME=
  done
  return 1
}
# shellcheck disable=SC2016 # run by a shell of its own: takes the files under their paths to the first argument
TAKE='K=$1
shift
for f; do mkdir -p "$K/${f%/*}" && mv -n -T "$f" "$K/$f"; done'
# prune: takes all but the newest backups to the stage; none that this run made, none that is not ours (S42).
prune() {
  [ -n "$NAME" ] || return 0
  cd -P "$G" && mkdir -p "$ST/p" || return 0
  if [ -n "$BAD" ]; then
    # Nothing may have come into it.
    find "backup/$NAME" -depth -type d -exec rmdir {} \; 2>/dev/null
    is_dir "backup/$NAME" || NAME=
  fi
  backups | sort -k 1,1n -k 2 >"$ST/p/list"
  c=$(wc -l <"$ST/p/list")
  while [ "$c" -gt "$KEPT_BACKUPS" ] && read -r n b && [ "$n" -lt "$FIRST" ]; do
    mv -n -T "backup/$b" "$ST/p/$b"
    c=$((c - 1))
  done <"$ST/p/list"
}
# The backups of this directory, each after its number. Those of earlier versions have six hex digits, and come first.
backups() {
  for b in backup/$STAMP-??????*; do
    is_dir "$b" || continue
    n=${b##*-}
    case $n in
      ????????????????*) continue ;;
      *[!0-9]*)
        case $n in *[!0-9a-f]* | ???????*) continue ;; esac
        n=0
        ;;
    esac
    # What is above the counter, no run of agb-sync made.
    [ "$n" -gt "$n_" ] || echo "$n ${b#backup/}"
  done
}
