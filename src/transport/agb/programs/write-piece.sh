# Writes one piece of a file. Each but the first knows how much is there before it, so that one whose answer was lost is
# not doubled; `TORN` when something else is there.
# Values: ROOT, DIR, NAME, MODE; PIECE64: the bytes as base64; AT, END: where in the file it begins and ends; TORN.

decode() { printf %s "$PIECE64" | base64 -d; }
enter "$DIR"
n=./$NAME
[ ! -L "$n" ] || fail 'File exists'
if [ "$AT" = 0 ]; then
  decode >"$n" || exit 1
else
  case $(stat -c %s "$n") in
    "$AT") decode >>"$n" || exit 1 ;;
    "$END") ;;
    *) fail "$TORN" ;;
  esac
fi
chmod "$MODE" "$n"
