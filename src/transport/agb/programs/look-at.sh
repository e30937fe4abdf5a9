# Says what stands at a path: `m RAW-MODE-IN-HEX SIZE`, `l TARGET-IN-BASE64`, or `-` for nothing.
# Values: ROOT, DIR, NAME.

enter "$DIR"
n=./$NAME
if [ -L "$n" ]; then
  printf 'l '
  readlink "$n" | base64
elif [ -e "$n" ]; then
  printf 'm '
  stat -c '%f %s' "$n"
else echo -; fi
