#!/usr/bin/env bash
# cargo-mutants on a part of the source: each operator, match arm and returned value is changed in turn, and a change
# that no test minds is printed. docs/mutants.md says what came out and how to do all of a crate in one build.
#
#     tools/mutants.sh crates/labels/src/metrics                 # a file or a folder, under the tests of its crate
#     tools/mutants.sh src/loss --shard 0/4                      # a quarter of it; further arguments go to cargo-mutants
#     tools/mutants.sh src/seal.rs -- --lib seal::               # after --, arguments of `cargo test`: here its own tests alone
#     tools/mutants.sh --in-diff main                            # what differs from a commit, in both crates
#
# The dependencies are those of `cargo test --release` in CARGO_TARGET_DIR (target/ by default), so Burn is built once.
set -euo pipefail
cd "$(dirname "$0")/.."
[ $# -gt 0 ] || { sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" >&2; exit 2; }
command -v cargo-mutants > /dev/null || CARGO_PROFILE_DEV_DEBUG=0 cargo install --quiet --debug --locked cargo-mutants@27.1.0
export CARGO_TARGET_DIR="$(realpath -m "${CARGO_TARGET_DIR:-target}")" CARGO_INCREMENTAL=1 SARB_COMMIT= RUST_BACKTRACE=0
out="$CARGO_TARGET_DIR/mutants"
mkdir -p "$out"

if [ "$1" = --in-diff ]; then
    [ $# -gt 1 ] || { echo "--in-diff what? a commit, such as main" >&2; exit 2; }
    git diff "$2" -- '*.rs' > "$out/diff"
    exec cargo mutants --output "$out" --in-diff "$out/diff" "${@:3}"
fi
[ -e "$1" ] || { echo "$1 is not there; expected a file or folder of src/ or crates/labels/src/" >&2; exit 2; }
part=${1%/}
[ -d "$part" ] && part="$part/**/*.rs"
package=sarb
case $1 in crates/labels/*) package=sarb-labels ;; esac
exec cargo mutants --output "$out" --package "$package" --file "$part" "${@:2}"
