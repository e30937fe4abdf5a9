# The work of a commit up to the first change: takes the claim `pid`, so that it is the only one, and unpacks the archive
# into the stage, which is its working directory. commit-fresh.sh or commit-in-place.sh goes on from there. The functions
# of the records and those of commit-functions.sh come first.
# Values: DELIVERY: `inline`, with the archive as base64 in ARCHIVE64; `parts`, in the files `part-*`; or `upload`, with
# UPLOAD, where it arrives, and UPLOAD_BYTES; ARCHIVE_SHA; ZIP: it is compressed; STAGED_SHA: what `hash_of` gives for all
# staged files; empty for none.

# shellcheck disable=SC1091,SC2034 # `after` comes with the archive; what is set is read elsewhere

# Whoever started this may be killed at any point before: the work itself takes the claim.
set -C
echo $$ 2>/dev/null >pid || exit 0
set +C
exec >log 2>&1
LC_ALL=C
export LC_ALL
umask 022
S=$PWD
exec 3<.
ST=/proc/self/fd/3
[ -d "$ST/." ] || ST=$S
BAD=
FAULTS=
STOP=
AT='?'
CLOSED=
OP=
LOCKED=
RENEWAL=
ARCHIVE=archive
NAME=
FIRST=
ASIDE=

# Removes what came with the archive and what the work made of it; the report stays.
tidy() {
  [ ! -d "$ST/p" ] || find "$ST/p" -type d ! -perm -700 -exec chmod u+rwx {} \;
  (
    cd "$ST/." || exit
    rm -rf archive n-* part-* t h o l p after ops checks pre placed checked removed adopted others verify \
      verify-removed base-added base-removed records adopted-records index base.new
  )
  discard_upload
}
discard_upload() {
  [ "$DELIVERY" = upload ] || return 0
  rm -f "$UPLOAD"
  rmdir "${UPLOAD%/*}" 2>/dev/null
}
# A signal to a shell that was forked this moment may be lost, so it is sent until nobody is there to take it.
release() {
  while [ -n "$RENEWAL" ] && kill "$RENEWAL" 2>/dev/null; do nap 0.01; done
  RENEWAL=
}
quit() {
  release
  [ -z "$LOCKED" ] || rm -f "$LOCKED"
  say "$1"
  cd /
  tidy
  exit 0
}
trap 'quit failed' TERM INT HUP

# Half a minute for an upload to have arrived, ten seconds more for its bytes to be all there.
await_upload() {
  i=0
  while [ "$(stat -c %s "$UPLOAD" 2>/dev/null)" != "$UPLOAD_BYTES" ]; do
    i=$((i + 1))
    [ $i -le 600 ] || quit undelivered
    nap 0.05
  done
  i=0
  until is_hash "$ARCHIVE_SHA" "$(sha256sum <"$UPLOAD")"; do
    i=$((i + 1))
    [ $i -le 40 ] || quit undelivered
    nap 0.25
  done
  ARCHIVE=$UPLOAD
}
receive() {
  case $DELIVERY in
    upload)
      await_upload
      return
      ;;
    inline) why=$( (printf %s "$ARCHIVE64" | base64 -d >archive) 2>&1) ;;
    parts)
      why=$( (cat part-* | base64 -d >archive) 2>&1)
      rm -f part-*
      ;;
  esac
  is_hash "$ARCHIVE_SHA" "$(sha256sum <archive)" && return
  # A full disk has no room for the reason either.
  rm -f archive
  bad 0 all failed "$why"
  quit damaged
}
unpack() {
  tar "-x${ZIP:+z}mpof" "$ARCHIVE" -C "$ST" || {
    bad 0 all failed "$(tail -c 300 "$ST/log")"
    quit failed
  }
  [ "$DELIVERY" != parts ] || rm -f archive
  [ -d t ] || mkdir t
  # Copies, names and modes that the archive could not bear.
  . ./after
}
# holds DIGEST LIST: whether `hash_of` gives this digest for a list; an empty list holds.
holds() { [ -z "$1" ] || is_hash "$1" "$(hash_of <"$2")"; }
# Whether all that was staged is what was sent.
is_staged() {
  [ -z "$STAGED_SHA" ] || is_hash "$STAGED_SHA" "$(
    cd "$ST/t" && find . -type f ! -path './.agb-sync/*' -print0 | sort -z | hash_of
  )"
}

receive
unpack
