# What a job has printed beyond OUTPUT_AT and ERRORS_AT, at most MOST bytes of each, as base64: first a line
# `STATUS STATE SIZE SIZE` (`-` while it runs; `live`, `dead`, or `none` before it began), the output, a line `.`, the errors.
# With TICKS it waits so many tenths of a second for something new.
# Values: DIRECTORY, OUTPUT_AT, ERRORS_AT, MOST, TICKS.

cd "$DIRECTORY" || exit 1
size() { wc -c <"$1" | tr -d ' '; }
# The process is looked at before its status: one that ends in between has left it.
look() {
  pid=$(cat pid 2>/dev/null)
  state=live
  if [ -z "$pid" ]; then
    state=none
  elif ! kill -0 "$pid" 2>/dev/null; then
    state=dead
  else
    case $(cat "/proc/$pid/stat" 2>/dev/null) in *') Z '*) state=dead ;; esac
  fi
  status=$(cat status 2>/dev/null)
  output=$(size output)
  errors=$(size errors)
}
is_quiet() {
  [ -z "$status" ] && [ $state != dead ] && [ "$output" -le "$OUTPUT_AT" ] && [ "$errors" -le "$ERRORS_AT" ]
}
bytes() { tail -c "+$(($2 + 1))" "$1" | head -c "$MOST" | base64; }

look
while [ "$TICKS" -gt 0 ] && is_quiet; do
  if sleep 0.1 2>/dev/null; then TICKS=$((TICKS - 1)); else
    sleep 1
    TICKS=$((TICKS - 10))
  fi
  look
done
echo "${status:--} $state $output $errors"
[ "$output" -le "$OUTPUT_AT" ] || bytes output "$OUTPUT_AT"
echo .
[ "$errors" -le "$ERRORS_AT" ] || bytes errors "$ERRORS_AT"
