# Removes what was sent for a commit and is of no use any more: a disk that it has filled would stay full. Prints `full`
# when the disk is. What was set aside stays, for the next apply to rescue.
# Values: STAGE; UPLOAD: the directory of an upload; empty for none.

clear_stage() {
  cd -P "$STAGE" 2>/dev/null || return 0
  { head -c 20000 /dev/zero >space; } 2>/dev/null || echo full
  rm -rf space part-* archive t n-*
  [ -s pid ] || { cd .. && rm -rf "$STAGE"; }
}
(clear_stage)
[ -z "$UPLOAD" ] || rm -rf "$UPLOAD"
