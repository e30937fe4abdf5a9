# Goes on from commit.sh where the root is there: takes the lock, looks whether everything is as the plan saw it, has the
# lines of work done, looks at what they did, and writes base. The functions of commit-backups.sh come first.
# Values: APPLY_ID; GENERATION: of the base that the plan was made from; BASE_START: how the first line of base begins;
# BASE_HEADER: the first line of the new one, and BASE_COUNT: how many lines follow it; UNUSABLE_SHA: of a base that cannot
# be used and is set aside; empty for none; PRE_SHA, CHECKED_SHA, REMOVED_SHA,
# ADOPTED_SHA: what `hash_of` gives for the lists `pre`, `checked`, `removed` and `adopted`; empty for empty ones;
# TICKET: a ticket of the lock up to the time that it counts until, TICKET_S: how long it counts, RENEW_S: how often it is
# renewed; TICKET_BYTES, STATE_BYTES: no ticket, and no file of the state, is larger; STEPS_STAGE: how the names of stages
# begin that are made only with the lock held.

# shellcheck disable=SC1091,SC2034 # what is sourced comes with the archive; what is set is read elsewhere too

# `$G` is the state directory, `$LK` the one of the tickets, both by open descriptors.
enter_state() {
  R=${S%/.agb-sync/stage/*}
  # shellcheck disable=SC2015 # either may fail
  cd -P "$R/.agb-sync" && [ "$PWD" = "$R/.agb-sync" ] || quit failed
  exec 5<.
  G=/proc/self/fd/5
  [ -d "$G/." ] || G=$PWD
  if is_there locks && ! is_dir locks; then aside locks; fi
  is_dir locks || mkdir -m 0700 locks
  # shellcheck disable=SC2015 # either may fail
  cd -P locks && [ "$PWD" = "$R/.agb-sync/locks" ] || {
    bad 0 all outside 'the locks lead outside'
    quit failed
  }
  exec 6<.
  LK=/proc/self/fd/6
  [ -d "$LK/." ] || LK=$PWD
}

ticket() { printf '%s%s000}' "$TICKET" $(($(date +%s) + TICKET_S)) >"$1"; }
renew() {
  trap 'exit 0' TERM
  while :; do
    sleep "$RENEW_S" &
    wait $!
    # Of work that was killed nobody would ever get the lock back.
    kill -0 $$ 2>/dev/null || exit 0
    rm -f "$LOCKED.new"
    ticket "$LOCKED.new" && mv -f -T "$LOCKED.new" "$LOCKED" || exit 0
  done
}
# A ticket that is not complete yet counts for a moment, so the first needs no rename. Nothing is written through a link.
lock() {
  LOCKED=$LK/$APPLY_ID.json
  set -C
  ticket "$LOCKED" || quit failed
  renew &
  RENEWAL=$!
  set +C
  cd -P "$G" || quit failed
  for f in "$LK"/*.json; do
    i=${f##*/}
    i=${i%.json}
    if [ "$i" = "$APPLY_ID" ] || ! is_sane "$f" "$TICKET_BYTES"; then continue; fi
    if [ -s "stage/$i/pid" ] && is_gone "stage/$i"; then
      rm -f "$f"
    else
      bad 0 all locked "$(base64 <"$f" | tr -d '\n')"
      quit locked
    fi
  done
}
# Whether the work of a stage has ended without an end.
is_gone() {
  read -r p_ <"$1/pid"
  ! kill -0 "$p_" 2>/dev/null
}

# What stands in the place of our own files and is none of ours.
make_way() {
  for f in base.json journal.json "index.$GENERATION" "index.$NEXT" counter; do
    ! is_there "$f" || is_sane "$f" "$STATE_BYTES" || aside "$f" || quit failed
  done
  if is_there backup && ! is_dir backup; then aside backup; fi
  is_there .gitignore || { echo '*' >"$ST/gitignore" && mv -n -T "$ST/gitignore" .gitignore; }
}
# The stages of commits that were cut off, here and beside the root.
clear_stages() {
  for d in stage/* "${R%/*}/.${R##*/}.agb-sync-"*; do
    if [ "$d" != "stage/$APPLY_ID" ] && is_dir "$d" && is_left "$d"; then rescue "$d" && rm -rf "$d"; fi
  done
}
is_left() {
  case $1 in
    # Work by file calls names its stage once it has the lock, which is ours by now.
    "stage/$STEPS_STAGE"*) return 0 ;;
  esac
  if [ -s "$1/pid" ]; then is_gone "$1"; else [ -n "$(find "$1" -maxdepth 0 -mmin +60 2>/dev/null)" ]; fi
}
set_unusable_aside() {
  [ -n "$UNUSABLE_SHA" ] && [ -f base.json ] || return 0
  is_hash "$UNUSABLE_SHA" "$(sha256sum <base.json)" || return 0
  [ ! -d base.damaged ] || aside base.damaged
  mv -f -T base.json base.damaged || quit failed
}
# Whether base is the one that the plan was made from.
is_same_base() {
  h=
  [ -f base.json ] && IFS= read -r h <base.json
  case $h in
    "$BASE_START"*) case $h in *'"generation":'"$GENERATION",*) return 0 ;; *) return 1 ;; esac ;;
    *) [ "$GENERATION" = 0 ] ;;
  esac
}
check_plan() {
  is_same_base || quit stale
  cd -P "$R" || quit failed
  . "$ST/checks"
  cd "$ST/." || quit failed
  holds "$PRE_SHA" pre || {
    is_staged || quit damaged
    quit stale
  }
}
# Notes what the run is about to put into place, and which commands are due for it (S40), before the first of it is:
# should the run be cut off, the next scan knows what is ours.
note() {
  {
    printf '%s\n' "$BASE_HEADER"
    if is_noted; then tail -n +2 "$G/journal.json" | cat - "$ST/base-added" | sort -u; else cat "$ST/base-added"; fi
  } >"$ST/base.new" && chmod 0600 "$ST/base.new" && mv -f -T "$ST/base.new" "$G/journal.json"
}
# Whether a run before this one, from the same base, was cut off.
is_noted() {
  h=
  [ -f "$G/journal.json" ] && IFS= read -r h <"$G/journal.json"
  case $h in "$BASE_START"*'"generation":'"$NEXT",*) return 0 ;; *) return 1 ;; esac
}

# Called by the lines of work once all is in place, before the deletions: those are not begun after a fault.
checkpoint() {
  leave
  AT='?'
  cd -P "$R" || quit failed
  # An edit from now on changes the times that are written down here: it cannot be taken for what is hashed next (W31).
  nap 0.02
  records <"$ST/placed" >"$ST/records"
  holds "$CHECKED_SHA" "$ST/checked" || . "$ST/verify"
  [ -z "$BAD" ] || [ -n "$STOP" ] || STOP='a write or move of this run failed'
}
work() {
  AT='?'
  . "$ST/ops"
  leave
  AT='?'
  cd -P "$R" || quit failed
  holds "$REMOVED_SHA" "$ST/removed" || . "$ST/verify-removed"
  prune
  [ -z "$BAD" ] || end_in_part
  leave
}
# Base is written, and after it the ticket removed, by whoever asked for the commit. Should that not come to it, there is
# the journal.
end_in_part() {
  release
  LOCKED=
  quit partial
}

fail() {
  bad 0 all failed "$1"
  quit failed
}
index_workspace() {
  cd -P "$R" || quit failed
  IX=.agb-sync/index.$GENERATION
  [ -f "$IX" ] || IX=/dev/null
  records <"$ST/adopted" >"$ST/adopted-records"
  holds "$ADOPTED_SHA" "$ST/adopted" || : >"$ST/adopted-records"
  {
    list | known_to "$IX"
    cat "$ST/records" "$ST/adopted-records"
    records <"$ST/others"
  } | index >"$ST/index"
}
old_base() {
  [ "$GENERATION" != 0 ] || return 0
  if [ -s "$ST/base-removed" ]; then tail -n +2 base.json | without "$ST/base-removed"; else tail -n +2 base.json; fi
}
write_base() {
  cd -P "$G" || quit failed
  {
    printf '%s\n' "$BASE_HEADER"
    old_base
    cat "$ST/base-added"
  } >"$ST/base.new" || fail 'base could not be written'
  chmod 0600 "$ST/base.new" || fail 'base could not be written'
  [ "$(wc -l <"$ST/base.new")" -eq $((BASE_COUNT + 1)) ] || fail 'the new base has not the lines that it should have'
  # Whoever took the lock away, or another apply that came in between, has the last word on base.
  if [ ! -f "$LOCKED" ] || ! is_same_base; then quit stale; fi
  mv -f -T "$ST/base.new" base.json || fail 'base could not be written'
  mv -f -T "$ST/index" "index.$NEXT"
  rm -f "index.$GENERATION" journal.json
}

NEXT=$((GENERATION + 1))
enter_state
lock
make_way
clear_stages
set_unusable_aside
check_plan
: >"$ST/records"
note || quit failed
work
index_workspace
write_base
quit 'done'
