#!/usr/bin/env bash
# Prints what the program is built from and what it can run on, as one word: `fingerprint=…`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../../.."
hash=$(find Cargo.toml Cargo.lock encoder harness xtask parity-gate mappings -type f \
  \( -name '*.rs' -o -name '*.toml' -o -name '*.lock' -o -path '*/report/html/*' \) -print0 |
  LC_ALL=C sort -z | xargs -0 cat | git hash-object --stdin)
# A binary asks for the C library that it was built with, or a newer one.
echo "fingerprint=${ImageOS:-$(uname -sr | tr ' ' -)}-$hash"
