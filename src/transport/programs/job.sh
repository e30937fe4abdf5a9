# One job: `sh -c JOB sh DIRECTORY PLACE SCRIPT JOINED`. It leaves `pid`, `output`, `errors` and, at its end, `status`.

cd "$1" && mkdir claim 2>/dev/null || exit 0
echo $$ >pid.new && mv pid.new pid
# Only what SCRIPT writes is its output: a shell's own remark that it was killed is not.
(
  exec >output </dev/null
  if [ -n "$4" ]; then exec 2>&1; else exec 2>errors; fi
  cd "$2" && exec sh -c "$3"
)
echo $? >status.new && mv status.new status
