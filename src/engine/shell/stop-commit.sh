# Asks a commit to begin no further step and prints its report, or `running` if that is not there yet (S33). One that was
# not begun never will be: its claim is taken, and the answer is `stopped`.
# Values: STAGE; LIVE: where the report is once a fresh root is live.

answer() {
  printf '%s\n' "$@" end
  exit 0
}
told() {
  cat "$1"
  exit 0
}
[ ! -f "$LIVE" ] || told "$LIVE"
cd -P "$STAGE" 2>/dev/null || answer stopped
: >stop
set -C
if printf '' 2>/dev/null >pid; then
  cd ..
  rm -rf "$STAGE"
  answer stopped
fi
i=0
while [ ! -f report ] && [ ! -f "$LIVE" ] && [ $i -lt 100 ]; do
  if [ -s pid ] && ! kill -0 "$(cat pid)" 2>/dev/null; then
    [ -f report ] || [ -f "$LIVE" ] || answer died 'the work in the session is gone'
  fi
  i=$((i + 1))
  sleep 0.05 2>/dev/null || sleep 1
done
[ ! -f "$LIVE" ] || told "$LIVE"
[ ! -f report ] || told report
answer running
