# Records of what is below `.`, for busybox and its like: lines, with \001 for a line break in a name. See `dialect.ts`.
# Values: PRUNES, PRUNES_TOLD: words for find, quoted; what they match is neither listed nor entered.
#
# `stat` prints `raw mode/mode/size/inode/mtime/ctime//path`, which awk turns into a record; links and names with a line
# break are few and are asked for one by one. No parentheses round `-exec … +`: busybox 1.35 then runs nothing. Times
# without fractions of a second cannot tell two versions of one second apart: then the index never matches.

# shellcheck disable=SC2016 # inner shells expand what is quoted here
NL='
'
ONE='for f; do
  e=$(printf "%s." "$f" | tr "\n" "\001"); e=${e%.}
  if [ -L "$f" ]; then t=$(readlink "$f" | tr "\n" "\001"); printf "=%s//l %s\n" "$e" "${t%?}"
  else s=$(stat -c "%f/%a/%s/%i/%y/%z" "$f") && printf "%s//%s\n" "$s" "$e"; fi
done; :'
# shellcheck disable=SC2034 # PRUNES_TOLD names it
LEFT_OUT='for f; do e=$(printf "%s." "$f" | tr "\n" "\001"); printf "=%s//i\n" "${e%.}"; done; :'
MANY='stat -c "%f/%a/%s/%i/%y/%z//%n" "$@"; :'
PRINT='-path "*$NL*" -exec sh -c "$ONE" sh {} + -o -type l -exec sh -c "$ONE" sh {} + -o -exec sh -c "$MANY" sh {} +'

as_records() {
  awk '/^=/ { print substr($0, 2); next }
  /^z/ { print; next }
  {
    i = index($0, "//"); name = substr($0, i + 2); split(substr($0, 1, i - 1), a, "/")
    kind = length(a[1]) == 4 ? substr(a[1], 1, 1) : "1"
    gsub(/ /, "_", a[5]); gsub(/ /, "_", a[6]); if (index(a[6], ".") == 0) a[6] = "?"
    if (kind == "4") print name "//d " a[2]
    else if (kind == "8") print name "//f " a[2] " " a[3] " " a[5] " " a[6] " " a[4]
    else print name "//s"
  }'
}
found() {
  eval "TZ=UTC0 find . -mindepth 1 -path ./.agb-sync -prune -o $1 $PRINT"
  printf 'z//%s\n' $?
}
list() { found "$PRUNES" 2>/dev/null | as_records | sort; }
list_all() { found "$PRUNES_TOLD" 2>/dev/null | as_records | sort; }
records() {
  TZ=UTC0 xargs -0 -r sh -c 'ONE=$1 MANY=$2 NL=$3 PRINT=$4; shift 4; eval "find \"\$@\" -maxdepth 0 $PRINT"' sh "$ONE" "$MANY" "$NL" "$PRINT" 2>/dev/null | as_records
}
index() {
  {
    cat
    echo 'z//0'
  } | sed 's,^\(.*//f .*\) ? \([0-9]*\)$,\1 - \2,' | sort -u
}
out() { tr '\n\001' '\000\n'; }
count() { wc -l; }
compared() {
  awk -v want="$1" 'BEGIN { while ((getline line < ARGV[1]) > 0) { has[line] = 1; left++ } ARGV[1] = "-" }
  want == "marked" { print (($0 in has) ? "\t" : "") $0; next }
  want == "all" || want == "just" { if ($0 in has) left--; else more = 1; next }
  ($0 in has) == (want == "known")
  END { exit (want == "all" || want == "just") && (left != 0 || (want == "just" && more)) }' "$2"
}
all_in() { list | compared all "$1"; }
just() { list | compared just "$1"; }
new_to() { compared new "$1"; }
known_to() { compared known "$1"; }
marked() { compared marked "$1"; }
sizes() { sed -n 's,.*//f [0-9]* \([0-9]*\) [^/]*$,\1,p'; }
paths() { sed -n 's,//f [^/]*$,,p' | awk 'index($0, "\001") + index($0, "\\") == 0' | tr '\n' '\000'; }
hash_each() { xargs -0 -r sha256sum 2>/dev/null; }
hash_of() { hash_each | sed -n 's|^\\\{0,1\}\([0-9a-f]\{64\}\)  \./.*|\1|p' | sha256sum; }
without() { compared new "$1"; }
