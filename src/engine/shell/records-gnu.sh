# Records of what is below `.`, for GNU programs: each ended by NUL. See `dialect.ts` for what each function gives.
# Values: PRUNES, PRUNES_TOLD: words for find, quoted; what they match is neither listed nor entered.

# One record an entry. Directories carry no times, so that what is made in them does not make them look changed.
PRINT="\\( -type d -printf '%p//d %m\\0' -o -type l -printf '%p//l %l\\0' -o -type f -printf '%p//f %m %s %T@ %C@ %i\\0' -o -printf '%p//s\\0' \\)"

found() {
  eval "find . -mindepth 1 -path ./.agb-sync -prune -o $1 $PRINT"
  printf 'z//%s\0' $?
}
list() { found "$PRUNES" 2>/dev/null | sort -z; }
list_all() { found "$PRUNES_TOLD" 2>/dev/null | sort -z; }
records() { xargs -0 -r sh -c "exec find \"\$@\" -maxdepth 0 $PRINT" sh 2>/dev/null; }
index() {
  {
    cat
    printf 'z//0\0'
  } | sort -z -u
}
out() { cat; }
count() { tr -cd '\000' | wc -c; }
all_in() { [ "$(list | comm -z -23 "$1" - | head -c 1 | wc -c)" = 0 ]; }
just() { [ "$(list | comm -z -3 "$1" - | head -c 1 | wc -c)" = 0 ]; }
new_to() { comm -z -13 "$1" -; }
known_to() { comm -z -12 "$1" -; }
marked() { comm -z -1 "$1" -; }
sizes() { sed -nz 's,.*//f [0-9]* \([0-9]*\) [^/]*$,\1,p' | tr '\000' '\n'; }
paths() { sed -nz 's,//f [^/]*$,,p'; }
hash_each() { xargs -0 -r sha256sum -z -- 2>/dev/null; }
hash_of() { hash_each | sha256sum; }
without() { grep -v -x -F -f "$1"; }
