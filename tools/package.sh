#!/usr/bin/env bash
# Makes dist/sarb-VERSION-TARGET.tar.gz: the stripped program, license, manual pages and completions.
# Arguments go to `cargo build`, such as --features vulkan. PROFILE chooses another build profile.
set -euo pipefail
cd "$(dirname "$0")/.."

profile=${PROFILE:-release-lto}
# The compiler's last message names the program, wherever the target folder is.
program=$(cargo build --package sarb --bin sarb --profile "$profile" --message-format=json-render-diagnostics "$@" |
    sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' | tail -n 1)
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
target=$(rustc -vV | sed -n 's/^host: //p')
name="sarb-$version-$target"

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
folder="$scratch/$name"
mkdir -p "$folder/completions"
cp "$program" "$folder/"
# Profiles other than release-lto carry line tables.
strip "$folder/$(basename "$program")" 2> /dev/null || true
cp LICENSE README.md CHANGELOG.md "$folder/"
"$program" man -o "$folder/man/man1" > /dev/null
"$program" completions bash > "$folder/completions/sarb"
"$program" completions zsh > "$folder/completions/_sarb"
"$program" completions fish > "$folder/completions/sarb.fish"

mkdir -p dist
tar -C "$scratch" -czf "dist/$name.tar.gz" "$name"
(cd dist && sha256sum "$name.tar.gz" > "$name.tar.gz.sha256")
ls -l "dist/$name.tar.gz"
