#!/usr/bin/env bash
# Prints what the program is built from, as one hash: `fingerprint=…`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../../.."
hash=$(find Cargo.toml Cargo.lock encoder harness xtask parity-gate mappings -type f \
  \( -name '*.rs' -o -name '*.toml' -o -name '*.lock' -o -path '*/report/html/*' \) -print0 |
  LC_ALL=C sort -z | xargs -0 cat | git hash-object --stdin)
echo "fingerprint=$hash"
