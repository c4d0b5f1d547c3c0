#!/usr/bin/env bash
# A real Slurm on this machine alone: a sweep of six cells as an array, of whose tasks one is stopped and one is killed, a sharded
# predict, and one training of two tasks. What comes out must be what one process makes, or two without Slurm.
#
#     tests/cluster/slurm.sh SARB QUICKSTART
#
# SARB is the program, QUICKSTART a folder that `sarb quickstart` made. Needs Debian's slurm-wlm and root; nothing listens beyond loopback.
set -euo pipefail
sarb=$(realpath "$1") quickstart=$(realpath "$2") here=$(realpath "$(dirname "$0")/../../recipes/cluster")
scratch=$(mktemp -d)
daemons=()
finish() {
    code=$?
    [ $code = 0 ] || tail -n 30 "$scratch"/*.log "$scratch"/logs/* 2> /dev/null || true
    for daemon in "${daemons[@]}"; do kill "$daemon" 2> /dev/null || true; done
    wait
    rm -rf "$scratch"
    exit $code
}
trap finish EXIT

mkdir "$scratch"/{state,spool,logs}
cat > "$scratch/slurm.conf" << CONF
ClusterName=sarb
SlurmctldHost=$(hostname -s)(127.0.0.1)
SlurmctldPort=27817
SlurmdPort=27818
SlurmUser=root
AuthType=auth/none
CredType=cred/none
StateSaveLocation=$scratch/state
SlurmdSpoolDir=$scratch/spool
SlurmctldPidFile=$scratch/slurmctld.pid
SlurmdPidFile=$scratch/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
MpiDefault=none
KillWait=5
ReturnToService=2
NodeName=$(hostname -s) NodeAddr=127.0.0.1 CPUs=2 State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE OverSubscribe=FORCE:8
CONF
export SLURM_CONF=$scratch/slurm.conf
slurmctld -D -f "$SLURM_CONF" > "$scratch/slurmctld.log" 2>&1 &
daemons+=($!)
slurmd -D -f "$SLURM_CONF" > "$scratch/slurmd.log" 2>&1 &
daemons+=($!)
until_true() { # SECONDS COMMAND…
    for _ in $(seq $((10 * $1))); do
        "${@:2}" > /dev/null 2>&1 && return
        sleep 0.1
    done
    echo "not within $1 s: ${*:2}" >&2
    return 1
}
until_true 60 sh -c 'sinfo -h -o %T | grep -qx "idle\|mixed\|allocated"'

export PLAN=$scratch/plan.toml DATA=$quickstart/data OUT=$scratch/sweep SARB=$sarb WEIGHTS=$quickstart/trunk.safetensors
cat > "$PLAN" << PLAN
known = [0.1, 0.5]
seeds = [0, 1, 2]
set = ["train.epochs=12"]
[[row]]
name = "SSGRL"
recipe = "$quickstart/ssgrl.toml"
PLAN
submit() { sbatch --parsable --cpus-per-task=1 --output="$scratch/logs/%A_%a" "$@"; }
job=$(submit --array=0-5 "$here/sweep.sbatch")
restarts() { scontrol show job "${job}_$1" | grep -o "Restarts=[0-9]*" | cut -d= -f2; }
state() { scontrol show job "${job}_$1" | grep -o "JobState=[A-Z]*" | cut -d= -f2; }
all_ended() {
    # Slurm lets two minutes pass before it starts what went back into the queue.
    for task in $(squeue -h -j "$job" -t PENDING -o %i); do
        scontrol update "JobId=$task" StartTime=now
    done
    ! squeue -h -j "$job" | grep -q .
}

until_true 300 sh -c "ls $OUT/logs/ssgrl/*.log"
running=()
for task in 0 1 2 3 4 5; do
    until_true 300 sh -c "scontrol show job ${job}_$task | grep -q 'JobState=RUNNING\|JobState=COMPLETED'"
    [ "$(state $task)" = RUNNING ] && running+=("$task")
    [ ${#running[@]} = 2 ] && break
done
[ ${#running[@]} = 2 ] || { echo "the cells are trained before a task can be stopped" >&2; exit 1; }
sleep 2
scancel --signal=TERM "${job}_${running[0]}" # Its time is up.
for process in $(pgrep -x "$(basename "$sarb")"); do # It is out of memory, say.
    grep -qsz "^SLURM_ARRAY_TASK_ID=${running[1]}$" "/proc/$process/environ" && kill -KILL "$process"
done
sleep 30 # A task that is started while its former self is still being cleaned away fails.
until_true 900 all_ended
[ "$(restarts "${running[0]}")" = 1 ] || { echo "task ${running[0]} did not go back into the queue" >&2; exit 1; }
[ "$(state "${running[1]}")" = FAILED ] || { echo "task ${running[1]} is $(state "${running[1]}")" >&2; exit 1; }
scontrol requeue "${job}_${running[1]}"
sleep 10
until_true 900 all_ended
for task in 0 1 2 3 4 5; do
    [ "$(state $task)" = COMPLETED ] || { echo "task $task is $(state $task)" >&2; exit 1; }
done
"$sarb" sweep status "$OUT"

# One process, undisturbed.
"$sarb" sweep "$PLAN" --data "$DATA" --weights "$WEIGHTS" --out "$scratch/alone" > "$scratch/alone.log" 2>&1
for cell in "$scratch"/alone/runs/ssgrl/*/*; do
    other=$OUT/${cell#"$scratch"/alone/}
    cmp "$cell/evaluation/scores.npy" "$other/evaluation/scores.npy"
done
echo "six cells: the scores of the array are those of one process, bit by bit"

export RUN=$quickstart/sarb IMAGES=$scratch/images.txt OUT=$scratch/scores/scores.csv
find "$quickstart/data/images" -type f | sort > "$IMAGES"
for _ in first again; do
    job=$(submit --array=0-2 "$here/predict.sbatch")
    until_true 300 all_ended
done
"$sarb" predict "$RUN" - --out "$scratch/whole.csv" < "$IMAGES"
for part in "$scratch"/scores/scores-*.csv; do
    [ -s "$scratch/parts.csv" ] && tail -n +2 "$part" >> "$scratch/parts.csv" || cat "$part" > "$scratch/parts.csv"
done
# Paths are written as they are seen from the file.
diff <(sed 's|^[./]*||' "$scratch/parts.csv") <(sed 's|^[./]*||' "$scratch/whole.csv")
grep -q "done already" "$scratch"/logs/"$job"_0
echo "three parts of $(wc -l < "$IMAGES") images: together what one process writes"

export RECIPE=$quickstart/ssgrl.toml OUT=$scratch/ranks SECRET=$scratch/secret
job=$(sbatch --parsable --ntasks=2 --ntasks-per-node=2 --cpus-per-task=1 --output="$scratch/logs/%j" "$here/train.sbatch")
until_true 300 sh -c "! squeue -h -j $job | grep -q ."
"$sarb" train "$RECIPE" --data "$DATA" --weights "$WEIGHTS" --out "$scratch/two" --ranks 2 > "$scratch/two.log" 2>&1
for run in "$OUT" "$scratch/two"; do "$sarb" evaluate "$run" > /dev/null; done
cmp "$OUT/evaluation/scores.npy" "$scratch/two/evaluation/scores.npy"
grep -q '"ranks": 2' "$OUT/run.json"
echo "one training of two tasks: the scores of two processes that sarb starts itself, bit by bit"
