# Packs what is to come back into one archive beside its errors, once however often this is run. Answers `missing`, or a
# line with tar's status, the archive's size and digest and what tar complained of (base64), and then, if it is no longer
# than PAGE, the archive as base64.
# Values: ROOT; DIRECTORY: of this pull alone, absolute; PATHS: paths below ROOT, each ended by NUL, as base64; HARD: an
# option by which tar stores every name of a file as a file (empty where it knows none); ZIP: gzip is there; PAGE: bytes.

cd -P "$ROOT" 2>/dev/null || {
  echo missing
  exit 0
}
umask 077
mkdir -p "$DIRECTORY" || exit 1
A=$DIRECTORY/archive
pack() {
  printf '%s' "$PATHS" | base64 -d | xargs -0 tar -cf - ${HARD:+"$HARD"} 2>"$DIRECTORY/errors"
  echo $? >"$DIRECTORY/status"
}
zipped() { if [ -n "$ZIP" ]; then gzip -1; else cat; fi; }
[ -f "$A" ] || { pack | zipped >"$A.new" && mv "$A.new" "$A"; } || exit 1
size=$(wc -c <"$A" | tr -d ' ')
digest=$(sha256sum <"$A")
printf '%s %s %s ' "$(cat "$DIRECTORY/status")" "$size" "${digest%% *}"
head -c 3000 "$DIRECTORY/errors" | base64 | tr -d '\n'
echo
[ "$size" -gt "$PAGE" ] || base64 <"$A"
