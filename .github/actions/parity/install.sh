#!/usr/bin/env bash
# Builds the program from the commit that this action is of, into a folder.
#
# usage: install.sh FOLDER
set -euo pipefail
sources=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd)
rustup toolchain install stable --profile minimal --no-self-update
cargo +stable install --locked --path "$sources/parity-gate" --root "$1"
