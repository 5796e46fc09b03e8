# Creates a cluster, and deletes it when standard input is closed: when the process at
# the other end of the pipe closes it or ends, for any reason.
# Usage: sh keeper.sh KWOKCTL NAME LOCKS TEMPLATE ARGUMENTS-OF-CREATE... (KWOK_WORKDIR set)
kwokctl=$1 name=$2 locks=$3 template=$4
shift 4

# Block 2000 is the ports 20000 to 20009, none of which the kernel assigns for port 0. The
# block is reserved until the cluster ends, also while one of its components is stopped:
# kwokctl itself would use ports that are free at the moment.
listened_on() {
    for digit in 0 1 2 3 4 5 6 7 8 9; do
        printf ':%X [0-9A-F:]* 0A \n' "$1$digit"
    done | grep -qsf - /proc/net/tcp /proc/net/tcp6
}
# The keeper holds the lock, not the owner: the cluster outlives a killed owner shortly.
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

# kwokctl must not write to the owner's pipe, or it would end half way when its reader
# ends. The components must not inherit the lock.
answer=failed
if claim_block &&
    sed "s/\"BLOCK\([0-9]\)\"/$block\1/g" "$template" >"$KWOK_WORKDIR/kwokctl.yaml" &&
    "$kwokctl" create cluster --name "$name" --config "$KWOK_WORKDIR/kwokctl.yaml" "$@" </dev/null >&2 9>&-
then
    answer=ready
fi

# The reader may have ended: SIGPIPE must not end the keeper.
trap '' PIPE
echo "$answer"
cat >/dev/null

# kwokctl does not know a component that it was starting when it failed, so every
# process that runs a program of the cluster's folder is killed, until there is none.
components() {
    grep -lz "^$KWOK_WORKDIR/clusters/$name/bin/" /proc/[0-9]*/cmdline 2>/dev/null | cut -d/ -f3
}
while pids=$(components) && [ -n "$pids" ]; do
    # Not quoted, since these may be several. Some may have ended meanwhile.
    kill -KILL $pids 2>/dev/null
    sleep 0.1
done
rm -rf "$KWOK_WORKDIR"
