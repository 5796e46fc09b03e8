# Keeps one cluster alive for as long as standard input stays open, that is as
# long as the process that holds the other end lives, however that one ends.
# Usage: sh keeper.sh KWOKCTL NAME LOCKS TEMPLATE ARGUMENTS-OF-CREATE... (KWOK_WORKDIR set)
kwokctl=$1 name=$2 locks=$3 template=$4
shift 4

# Block 2000 is the ports 20000 to 20009. None is one that the kernel gives to whoever
# binds port 0. Each is the cluster's until the cluster ends, whether its component
# runs just then or not: kwokctl on its own takes what is free at the moment.
listened_on() {
    for digit in 0 1 2 3 4 5 6 7 8 9; do
        printf ':%X [0-9A-F:]* 0A \n' "$1$digit"
    done | grep -qsf - /proc/net/tcp /proc/net/tcp6
}
# The lock is the keeper's, since an owner that is killed ends nothing at once.
claim_block() {
    mkdir -p "$locks" || return
    block=1999
    while [ "$((block += 1))" -lt 3000 ]; do
        exec 9>"$locks/$block.lock"
        flock --nonblock 9 && ! listened_on "$block" && return
    done
    echo "each block of ports is taken" >&2
    return 1
}

# kwokctl's output is not the owner's, or it would end with its reader, half way. The
# components must not inherit the lock.
answer=failed
if claim_block &&
    sed "s/\"BLOCK\([0-9]\)\"/$block\1/g" "$template" >"$KWOK_WORKDIR/kwokctl.yaml" &&
    "$kwokctl" create cluster --name "$name" --config "$KWOK_WORKDIR/kwokctl.yaml" "$@" </dev/null >&2 9>&-
then
    answer=ready
fi

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
