#!/usr/bin/env bash
# Builds the program from the commit that this action is of, into a folder, told by its absolute path.
#
# usage: install.sh FOLDER
set -euo pipefail
sources=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd)
# Cargo's configuration is that of the folder that it runs in, which is somebody else's repository.
cd "$sources"
rustup toolchain install stable --profile minimal --no-self-update
cargo +stable install --locked --path "$sources/parity-gate" --root "$1"
