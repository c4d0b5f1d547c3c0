#!/usr/bin/env bash
# The readers of labels, images and arrays, and the kernels, under AddressSanitizer: their unit tests, with memory that
# is read or written out of place ending the program. Needs nothing but this toolchain; the first run builds all
# dependencies anew, into target/asan.
#
#     tools/asan.sh                    # labels, images, arrays
#     tools/asan.sh sarb kernels::     # the kernels: builds Burn, half an hour on two cores
set -euo pipefail
cd "$(dirname "$0")/.."
package=${1:-sarb-labels}
filter=${2:-}
export RUSTC_BOOTSTRAP=1 RUSTFLAGS="-Zsanitizer=address" CARGO_TARGET_DIR=target/asan
# What is never freed at the end of a test is no fault.
export ASAN_OPTIONS=detect_leaks=0 RUST_MIN_STACK=67108864
# A target of its own, so that build scripts and macros are built without it.
host=$(rustc -vV | sed -n 's/^host: //p')
cargo test --release --target "$host" -p "$package" --lib -- $filter
