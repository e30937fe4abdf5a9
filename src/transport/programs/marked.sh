# Runs the function `work` in a shell of its own, prints what that prints, and then, in a line of its own, MARKER, its
# status, and how many bytes it printed: an answer without this line is not whole (S39). What work that failed complained
# of comes after it.

export LC_ALL=C
exec 3>&1
err=$(
  {
    out=$( (work) 2>&4 3>&- 4>&-)
    st=$?
    printf '%s\n%s %s %s\n' "$out" "$MARKER" "$st" "${#out}" >&3
    exit "$st"
  } 4>&1
) || printf '%s\n' "$err"
