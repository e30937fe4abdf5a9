# Looks at a workspace and changes nothing. Answers `missing`, `notdir`, `same`, or `tree` and, as base64 (of gzip with
# ZIP): base and the journal, each after its length (`odd` for what is none of ours), then records (those equal to the
# index after a tab), then `#` and the digests of what was changed. The functions of the records come first.
# Values: ROOT; STATE_BYTES: no file of the state is larger, and none but a regular one is read; BASE_START and DESIRED,
# which the first line of base begins with and holds when `same` is enough (else empty); EXACT: `same` only when nothing
# unmanaged is there either; CHECKSUM: believe no index; HASH_BYTES: changed files are hashed at once when they are no
# more than this together; 0: never; ZIP: gzip is there.

if [ -L "$ROOT" ]; then
  echo notdir
  exit 0
fi
cd -P "$ROOT" 2>/dev/null || {
  if [ -d "$ROOT" ]; then
    echo 'Permission denied' >&2
    exit 1
  elif [ -e "$ROOT" ] || [ -L "$ROOT" ]; then echo notdir; else echo missing; fi
  exit 0
}

ours() { [ -f "$1" ] && [ ! -L "$1" ] && [ "$(wc -c <"$1")" -le "$STATE_BYTES" ]; }
h=
ours .agb-sync/base.json && IFS= read -r h <.agb-sync/base.json
g=${h#*'"generation":'}
g=${g%%,*}
case $g in '' | *[!0-9]*) g=none ;; esac
IX=.agb-sync/index.$g
ours "$IX" && [ -z "$CHECKSUM" ] || IX=/dev/null

is_same() {
  [ -n "$DESIRED" ] || return 1
  case $h in "$BASE_START"*"$DESIRED"*) ;; *) return 1 ;; esac
  [ ! -f .agb-sync/journal.json ] && [ -f "$IX" ] || return 1
  n=${h##*'"count":'}
  [ "$(count <"$IX")" -eq $((${n%\}} + 1)) ] || return 1
  if [ -n "$EXACT" ]; then just "$IX"; else all_in "$IX"; fi
}
if is_same; then
  echo same
  exit 0
fi

stored() {
  for f in base journal; do
    f=.agb-sync/$f.json
    if ours $f; then
      printf '%s\0' "$(wc -c <$f | tr -d ' ')"
      cat $f
    elif [ -e $f ] || [ -L $f ]; then printf 'odd\0'; else printf '0\0'; fi
  done
}
changed() {
  [ "$HASH_BYTES" -gt 0 ] || return 0
  t=0
  for n in $(list | new_to "$IX" | sizes); do t=$((t + n)); done
  [ $t -gt "$HASH_BYTES" ] || list | new_to "$IX" | paths | hash_each | out
}
zipped() { if [ -n "$ZIP" ]; then gzip -1; else cat; fi; }

echo tree
{
  stored
  list_all | marked "$IX" | out
  printf '#\0'
  changed
} | zipped | base64
