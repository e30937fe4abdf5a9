# Says what a session can do: `has NAME` for each program of the arguments that is there, `is NAME` for abilities that
# names do not tell, and `user` with the number of the session's user.

for p; do
  if command -v "$p" >/dev/null 2>&1; then echo "has $p"; fi
done
# A probe that fails, or a program that is not there, is a no.
{
  if find /dev/null -maxdepth 0 -printf x >/dev/null; then echo 'is gnu-find'; fi
  # What a listing by `stat` needs, as coreutils, busybox and toybox have it.
  case $(find / -maxdepth 0 -exec stat -c '%f/%a/%s/%i/%y/%z//%n' {} +) in
    4*//*) if [ "$(printf 'b\0a\0' | sort -z | xargs -0)" = 'a b' ]; then echo 'is portable-list'; fi ;;
  esac
  # One that knows -T complains of the missing file, another one of the option.
  case $(mv -n -T /dev/null/a /dev/null/b 2>&1) in *ption* | *sage*) ;; *) echo 'is mv-T' ;; esac
  if [ "$(printf 'a\n' | sha256sum -z | wc -c)" -gt 60 ]; then echo 'is sha256sum-z'; fi
  echo "user $(id -u)"
} 2>/dev/null
