# Starts the work of a commit in the background of the session, once however often this is run, waits for its report and
# prints it: a first word (`done`, `partial`, `stale`, `locked`, `damaged`, `undelivered`, `failed`, `stopped`, `running`,
# `died`), one line for each step that did not go well, and `end`. The functions of enter-stage.sh come first.
# Values: those of enter-stage.sh; LIVE: where the report is once a fresh root is live; SCRIPT: the work, which takes the
# claim `pid` itself; REPORT_S: after so many seconds without a report the answer is `running`.

if [ -f "$LIVE" ]; then
  cat "$LIVE"
  exit 0
fi
enter_stage

is_reported() { [ -f report ] || [ -f "$LIVE" ]; }
answer() {
  echo "$1"
  echo end
  exit 0
}
start() {
  printf '%s\n' "$SCRIPT" >commit.$$
  if command -v setsid >/dev/null 2>&1; then
    own='setsid'
  elif command -v nohup >/dev/null 2>&1; then
    own='nohup'
  else own=; fi
  (
    trap '' HUP
    exec $own sh ./commit.$$
  ) </dev/null >log.$$ 2>&1 &
  work_=$!
}
# `wait` takes no time limit, and ends for a signal. `$$` would be the shell around this one, whose answer would be lost.
await() {
  trap 'answer running' USR1
  sh -c 'sleep "$1"; kill -USR1 $PPID' sh "$REPORT_S" >/dev/null 2>&1 &
  alarm=$!
  wait $work_
  kill $alarm 2>/dev/null
}
if [ ! -e pid ]; then
  start
  await
fi

# Somebody else's work under the same claim: that of an earlier command whose answer was lost.
i=0
while ! is_reported; do
  if [ -s pid ] && ! kill -0 "$(cat pid)" 2>/dev/null || { [ $i -gt 50 ] && [ ! -s pid ]; }; then
    if ! is_reported; then
      echo died
      cat log log.* 2>/dev/null | tail -c 300 | tr '\n' ' '
      echo
      echo end
      exit 0
    fi
  fi
  i=$((i + 1))
  [ $i -le 300 ] || answer running
  sleep 0.1 2>/dev/null || sleep 1
done
if [ ! -f report ]; then
  cat "$LIVE"
else
  cat report
  if [ -n "$FRESH" ]; then
    s=$PWD
    cd / && rm -rf "$s"
  fi
fi
