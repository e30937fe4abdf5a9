# Starts SCRIPT in the background of the session, once however often this is run: the job takes the claim itself.
# Values: DIRECTORY: the job's own, absolute or below the working directory; SCRIPT; JOINED: errors go with the output;
# JOB: the text of job.sh.

mask=$(umask)
umask 077
mkdir -p "$DIRECTORY" && : >>"$DIRECTORY/output" && : >>"$DIRECTORY/errors" || exit 1
# In a file of its own it is no argument of a process, which everybody in the session may read.
[ -d "$DIRECTORY/claim" ] || printf '%s\n' "$SCRIPT" >"$DIRECTORY/script" || exit 1
# What the script makes is made as the session makes things.
umask "$mask"
command -v setsid >/dev/null 2>&1 && own=setsid || own=
# An ignored SIGHUP stays ignored across exec: what nohup does, where there may be none.
(
  trap '' HUP
  exec $own sh -c "$JOB" sh "$DIRECTORY" "$PWD" "$JOINED"
) >/dev/null 2>&1 </dev/null &
