# Prints what is in a directory, as base64 of names that each begin with a letter for what they are and end in NUL.
# Values: ROOT, DIR.

list() {
  for n in .* *; do
    case $n in . | ..) continue ;; esac
    if [ -L "./$n" ]; then
      k=l
    elif [ -d "./$n" ]; then
      k=d
    elif [ -f "./$n" ]; then
      k=f
    elif [ -e "./$n" ]; then
      k=s
    else continue; fi
    printf '%s%s\0' "$k" "$n"
  done
}
enter "$DIR"
if [ ! -r . ] || [ ! -x . ]; then fail 'Permission denied'; fi
list | base64
