# Moves a thing by one rename. What stands in its place is an error, or is replaced, or replaced and kept.
# Values: ROOT, FROM_DIR, FROM_NAME, TO_DIR, TO_NAME; REPLACES; KEEPS: what is replaced is kept as KEEP_NAME in KEEP_DIR;
# PLAIN: `mv` knows no -T.

# The directories stay open: a link that is put in the way later leads nowhere.
if [ -n "$KEEPS" ]; then
  enter "$KEEP_DIR"
  exec 4<.
  k=/proc/self/fd/4
  [ -d "$k/." ] || k=$PWD
  k=$k/$KEEP_NAME
fi
enter "$FROM_DIR"
exec 3<.
s=/proc/self/fd/3
[ -d "$s/." ] || s=$PWD
s=$s/$FROM_NAME
enter "$TO_DIR"
d=./$TO_NAME

is_there "$s" || fail 'No such file or directory'
if [ -z "$REPLACES" ]; then
  if is_there "$d"; then fail 'File exists'; fi
elif is_dir "$d"; then fail 'Is a directory'; fi
if [ -n "$KEEPS" ] && is_there "$d"; then
  rm -f "$k" || exit 1
  ln "$d" "$k" 2>/dev/null || mv "$d" "$k" || exit 1
fi
if [ -z "$PLAIN" ]; then
  if [ ! -L "$d" ] || [ ! -d "$d" ]; then
    mv -f -T "$s" "$d"
    exit
  fi
  mv -f -T "$s" "$d" 2>/dev/null && exit
fi
# A link that leads to a directory would be followed without -T, and the `mv` of busybox refuses it with -T.
[ ! -L "$d" ] || rm -f "$d"
mv -f "$s" "$d"
