#!/usr/bin/env bash
# One training on two hosts that share nothing but a cable: two network namespaces with an address each, a millisecond away from
# each other where the kernel has netem, each with its own data folder and cache. Then the cable is cut.
#
#     tests/cluster/two_hosts.sh SARB QUICKSTART
#
# SARB is the program, QUICKSTART a folder that `sarb quickstart` made. Needs Linux, iproute2 and root.
set -euo pipefail
sarb=$(realpath "$1") quickstart=$(realpath "$2")
scratch=$(mktemp -d)
finish() {
    code=$?
    [ $code = 0 ] || tail -n 20 "$scratch"/*.log || true
    kill $(jobs -p) 2> /dev/null || true
    wait
    for host in 0 1; do ip netns del "sarb-$host" 2> /dev/null || true; done
    rm -rf "$scratch"
    exit $code
}
trap finish EXIT

for host in 0 1; do
    ip netns add "sarb-$host"
    mkdir "$scratch/$host"
    cp -r "$quickstart/data" "$quickstart/trunk.safetensors" "$scratch/$host/"
done
ip link add cable-0 netns sarb-0 type veth peer name cable-1 netns sarb-1
for host in 0 1; do
    ip -n "sarb-$host" address add "10.77.0.1$host/24" dev "cable-$host"
    ip -n "sarb-$host" link set "cable-$host" up
    ip -n "sarb-$host" link set lo up
    tc -n "sarb-$host" qdisc add dev "cable-$host" root netem delay 1ms 2> /dev/null || echo "no netem: a cable without delay"
done

export MASTER_ADDR=10.77.0.10 MASTER_PORT=29400 WORLD_SIZE=2
head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n' > "$scratch/secret"
on() { # HOST OUT ARGUMENT…: starts its rank
    RANK=$1 XDG_CACHE_HOME=$scratch/$1/cache ip netns exec "sarb-$1" "$sarb" train "$quickstart/sarb.toml" --data "$scratch/$1/data" \
        --weights "$scratch/$1/trunk.safetensors" --threads 1 --ranks env --ranks-secret "$scratch/secret" --out "$scratch/$1/$2" \
        "${@:3}" > "$scratch/$2.$1.log" 2>&1 &
}
ends() { # PID CODE WHAT
    code=0
    wait "$1" || code=$?
    [ "$code" = "$2" ] || { echo "$3 ended with $code, not $2" >&2; exit 1; }
}
both() { # OUT ARGUMENT…
    on 0 "$@"; first=$!
    on 1 "$@"; second=$!
}

same() { # RUN
    for run in "$scratch/here" "$1"; do "$sarb" evaluate "$run" > /dev/null; done
    cmp "$scratch/here/evaluation/scores.npy" "$1/evaluation/scores.npy"
}
"$sarb" train "$quickstart/sarb.toml" --data "$quickstart/data" --weights "$quickstart/trunk.safetensors" --ranks 2 \
    --out "$scratch/here" > "$scratch/here.log" 2>&1
both whole
ends $first 0 "rank 0"
ends $second 0 "rank 1"
same "$scratch/0/whole"
[ ! -e "$scratch/1/whole" ] || { echo "the second host has a run folder" >&2; exit 1; }
echo "two hosts: the scores of two processes on one, bit by bit"

both cut
for _ in $(seq 600); do
    grep -qs '"epoch":4,' "$scratch/0/cut/events.jsonl" && break
    sleep 0.1
done
[ -s "$scratch/0/cut/checkpoints/last/state.json" ] || { echo "no checkpoint before the cable is cut" >&2; exit 1; }
ip -n sarb-1 link set cable-1 down
cut=$SECONDS
ends $first 75 "rank 0, whose cable was cut,"
ends $second 75 "rank 1, whose cable was cut,"
echo "the cable was cut: both ended after $((SECONDS - cut)) s, rank 0 with: $(tail -n 1 "$scratch/cut.0.log")"
ip -n sarb-1 link set cable-1 up
both cut --resume
ends $first 0 "rank 0, resumed,"
ends $second 0 "rank 1, resumed,"
same "$scratch/0/cut"
echo "resumed: the scores of the training that nothing disturbed, bit by bit"

echo "another secret, as long" > "$scratch/other"
on 0 stranger; first=$!
RANK=1 ip netns exec sarb-1 "$sarb" train "$quickstart/sarb.toml" --data "$scratch/1/data" --weights "$scratch/1/trunk.safetensors" \
    --ranks env --ranks-secret "$scratch/other" --out "$scratch/1/stranger" > "$scratch/stranger.1.log" 2>&1 && exit 1
grep -q "another secret" "$scratch/stranger.1.log"
echo "another secret: $(tail -n 1 "$scratch/stranger.1.log")"
kill $first
wait $first || true
