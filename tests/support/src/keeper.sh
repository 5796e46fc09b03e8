# Keeps one cluster alive for as long as standard input stays open, that is as
# long as the process that holds the other end lives, however that one ends.
# Usage: sh keeper.sh KWOKCTL NAME LOCK ARGUMENTS-OF-CREATE... (KWOK_WORKDIR set)
kwokctl=$1 name=$2 lock=$3
shift 3

# One start at a time: kwokctl looks for free ports long before it binds them. The
# lock is the keeper's, since an owner that is killed does not end a start. Neither
# is kwokctl's output the owner's, or it would end with its reader, half way.
exec 9>"$lock"
flock 9
answer=failed
if "$kwokctl" create cluster --name "$name" "$@" </dev/null >&2 9>&-; then
    answer=ready
fi
exec 9>&-

# Nobody may be left to read it, the signal of which must not end the keeper.
trap '' PIPE
echo "$answer"
cat >/dev/null

# kwokctl forgets a component that it was starting when it failed, so whatever runs
# from the cluster's folder is ended, until nothing does.
components() {
    grep -lz "^$KWOK_WORKDIR/clusters/$name/bin/" /proc/[0-9]*/cmdline 2>/dev/null | cut -d/ -f3
}
while pids=$(components) && [ -n "$pids" ]; do
    # Not quoted: one or more. Some may have ended meanwhile.
    kill -KILL $pids 2>/dev/null
    sleep 0.1
done
rm -rf "$KWOK_WORKDIR"
