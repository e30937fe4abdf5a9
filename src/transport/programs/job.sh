# One job: `sh -c JOB sh DIRECTORY PLACE JOINED`. It runs `script` in PLACE and leaves `pid`, `output`, `errors` and, at its
# end, `status`.

cd "$1" && mkdir claim 2>/dev/null || exit 0
echo $$ >pid.new && mv pid.new pid
# Only what the script writes is its output: a shell's own remark that it was killed is not.
(
  exec >output </dev/null
  if [ -n "$3" ]; then exec 2>&1; else exec 2>errors; fi
  script=$PWD/script
  cd "$2" && exec sh "$script"
)
echo $? >status.new && mv status.new status
