# Goes on from commit.sh where the root is not there: everything is in `t` already. The links and modes, the index, then
# one rename (S4).
# Values: APPLY_ID; PLACE: the name of the root in its parent, which is the directory that the stage is in.

is_staged || quit damaged
R=$S/t
# shellcheck disable=SC1091 # the lines of work come with the archive
. ./ops
leave
cd -P "$R" || quit failed
[ -z "$BAD" ] || quit failed
chmod 0700 .agb-sync
echo '*' >.agb-sync/.gitignore
# An edit from now on changes the times that are written down here (W31).
nap 0.02
list | index >.agb-sync/index.1
mkdir -p ".agb-sync/stage/$APPLY_ID"
printf 'done\nend\n' >".agb-sync/stage/$APPLY_ID/report"

cd -P "${S%/*}" || quit failed
if [ -e "$ST/stop" ]; then
  bad 0 all skipped interrupted
  quit stopped
fi
if is_there "./$PLACE"; then quit stale; fi
mv -n -T "$ST/t" "./$PLACE" || quit failed
if is_there "$ST/t"; then quit stale; fi
discard_upload
cd / && rm -rf "$S"
