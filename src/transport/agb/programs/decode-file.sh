# Decodes a file of base64 text, ENCODED, that was written beside NAME, and removes it. Safe to repeat.
# Values: ROOT, DIR, NAME, MODE, ENCODED.

enter "$DIR"
n=./$NAME
e=./$ENCODED
[ ! -L "$n" ] || fail 'File exists'
if [ -e "$e" ]; then
  (
    umask 077
    base64 -d "$e" >"$n"
  ) && chmod "$MODE" "$n" && rm -f "$e"
else [ -e "$n" ]; fi
