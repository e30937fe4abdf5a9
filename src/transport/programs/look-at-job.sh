# What a job has printed beyond OUTPUT_AT and ERRORS_AT, at most MOST bytes of each, as base64: first a line
# `STATUS STATE SIZE SIZE` (`-` while it runs; `live`, `dead`, or `none` before it began), the output, a line `.`, the errors.
# With WAIT it waits so many tenths of a second for something new. `gone`: somebody removed what the job kept.
# Values: DIRECTORY, OUTPUT_AT, ERRORS_AT, MOST, WAIT.

cd "$DIRECTORY" 2>/dev/null || {
  echo gone
  exit 0
}
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

# Every tenth of a second at first, then less often: looking costs the session some processes.
look
nap=0.1
ticks=1
waited=0
while [ $waited -lt "$WAIT" ] && is_quiet; do
  sleep $nap 2>/dev/null || {
    sleep 1
    ticks=10
  }
  waited=$((waited + ticks))
  [ $waited -lt 10 ] || [ $ticks -gt 1 ] || {
    nap=0.3
    ticks=3
  }
  look
done
if [ -z "$output" ] || [ -z "$errors" ]; then
  echo gone
  exit 0
fi
echo "${status:--} $state $output $errors"
[ "$output" -le "$OUTPUT_AT" ] || bytes output "$OUTPUT_AT"
echo .
[ "$errors" -le "$ERRORS_AT" ] || bytes errors "$ERRORS_AT"
