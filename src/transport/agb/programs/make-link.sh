# Makes a link where nothing is.
# Values: ROOT, DIR, NAME, TARGET.

enter "$DIR"
if is_there "./$NAME"; then fail 'File exists'; fi
ln -s -- "$TARGET" "./$NAME"
