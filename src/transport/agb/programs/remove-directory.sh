# Removes an empty directory; nothing there is fine.
# Values: ROOT, DIR, NAME.

enter "$DIR"
[ -e "./$NAME" ] || exit 0
rmdir "./$NAME"
