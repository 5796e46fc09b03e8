# Runs a program, and ends it when standard input is closed: when the process at the
# other end of the pipe closes it or ends, for any reason.
# Usage: sh keep.sh PROGRAM ARGUMENTS...
"$@" </dev/null &
program=$!
cat >/dev/null
kill "$program"
wait "$program"
