# Values: ROOT, DIR, NAME, MODE.

enter "$DIR"
[ ! -L "./$NAME" ] || fail 'agb-sync: leads outside'
chmod "$MODE" "./$NAME"
