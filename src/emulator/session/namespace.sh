# Set-up of a session's namespace: mounts everything, makes the tree the only root there is, then waits for its end.
# Arguments: the mount table; the tree; the size of the disk to put the tree on, or nothing.

set -e
if [ -n "$3" ]; then
  mount -t tmpfs -o "size=$3,mode=755" tmpfs "$2"
  echo disk
  read -r _
  cd "$2/tree"
else
  cd "$2"
fi
mount -a --fstab "$1"
cd "$PWD"
pivot_root . .
umount -l .
cd /
trap '' CHLD
echo ready
exec cat >/dev/null
