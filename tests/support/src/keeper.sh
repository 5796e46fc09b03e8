# Keeps one cluster alive for as long as standard input stays open, that is as
# long as the process that holds the other end lives, however that one ends.
# Usage: sh keeper.sh KWOKCTL NAME ARGUMENTS-OF-CREATE... (KWOK_WORKDIR set)
kwokctl=$1 name=$2
shift 2
if "$kwokctl" create cluster --name "$name" "$@" </dev/null; then
    echo ready
else
    echo failed
fi
cat >/dev/null
"$kwokctl" delete cluster --name "$name"
rm -rf "$KWOK_WORKDIR"
