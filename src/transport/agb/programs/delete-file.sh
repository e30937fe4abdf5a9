# Deletes a file or link; nothing there is fine.
# Values: ROOT, DIR, NAME.

enter "$DIR"
if is_dir "./$NAME"; then fail 'Is a directory'; fi
rm -f "./$NAME"
