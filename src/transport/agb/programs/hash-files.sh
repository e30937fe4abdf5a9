# Prints the digest of each file that is an argument, as a path from ROOT that begins with `./`; `-` for what is no file
# or cannot be read.
# Values: ROOT.

go "$ROOT"
for f; do
  h=-
  if [ -f "$f" ] && [ ! -L "$f" ]; then h=$(sha256sum <"$f" 2>/dev/null) || h=-; fi
  echo "${h%% *}"
done
