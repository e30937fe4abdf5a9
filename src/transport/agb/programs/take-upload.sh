# Takes a file that arrives elsewhere in the session to its place, once all of it is there.
# Values: ROOT, DIR, NAME, MODE; UPLOAD: where it arrives; BYTES: its size.

i=0
while [ "$(stat -c %s "$UPLOAD" 2>/dev/null)" != "$BYTES" ]; do
  i=$((i + 1))
  [ $i -le 200 ] || fail 'timed out'
  sleep 0.2 2>/dev/null || sleep 1
done
enter "$DIR"
rm -f "./$NAME" && chmod "$MODE" "$UPLOAD" && mv "$UPLOAD" "./$NAME"
