# Keeps a program alive for as long as standard input stays open, that is as long
# as the process that holds the other end lives, however that one ends.
# Usage: sh keep.sh PROGRAM ARGUMENTS...
"$@" </dev/null &
program=$!
cat >/dev/null
kill "$program"
wait "$program"
