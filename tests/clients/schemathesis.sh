#!/usr/bin/env bash
# Asks `sarb serve` everything that its own description (/openapi.json) allows, and what it does not: no answer may be 500, none may differ
# from the description, and nothing that it forbids may be accepted.
#
#     tests/clients/schemathesis.sh SCHEMATHESIS SARB RUN [EXAMPLES]
set -euo pipefail
schemathesis=$1 sarb=$2 run=$3 examples=${4:-25}
settings=$(realpath "$(dirname "$0")/schemathesis.toml")
scratch=$(mktemp -d)
"$sarb" serve "sarb=$run" --port 0 --corrections "$scratch/corrections.csv" > "$scratch/address" 2> "$scratch/log" &
server=$!
trap 'kill "$server" 2> /dev/null || true; rm -rf "$scratch"' EXIT
for _ in $(seq 100); do
    [ -s "$scratch/address" ] && break
    sleep 0.1
done
address=$(head -n 1 "$scratch/address")
cd "$scratch"
"$schemathesis" --config-file "$settings" run "$address/openapi.json" --max-examples "$examples" --seed 1 \
    --request-timeout 60 --no-color || { tail -n 20 log; exit 1; }
kill -0 "$server" # It is still there.
