#!/usr/bin/env bash
# Compares, and writes the reports into a folder: a page, JSON, and the summary of the job. Its own exit code is 0 where it could
# do that, whatever was found: `exit-code` among the outputs is what was found.
#
# usage: CANDIDATE=… [REFERENCE=…] [MAPPING=…] [PROFILE=…] [WEIGHTS=…] [INPUT=…] [BASELINE=…] \
#   [CONDITIONS=…] [ARGUMENTS=…] compare.sh FOLDER
#
# Off GitHub, GITHUB_STEP_SUMMARY and GITHUB_OUTPUT may name files, or be left out.
set -euo pipefail
reports=${1:?usage: compare.sh FOLDER, which is replaced}
arguments=()
add() {
  if [ -n "$2" ]; then
    arguments+=("$1" "$2")
  fi
}
add --candidate "${CANDIDATE:-}"
add --reference "${REFERENCE:-}"
add --mapping "${MAPPING:-}"
add --profile "${PROFILE:-}"
add --weights "${WEIGHTS:-}"
add --input "${INPUT:-}"
add --baseline "${BASELINE:-}"
add --conditions "${CONDITIONS:-}"
# Up to the end, over all lines.
read -r -d '' -a others <<<"${ARGUMENTS:-}" || true
rm -rf "$reports"
mkdir -p "$reports"
for report in html=parity.html json=parity.json markdown=parity.md; do
  add --report "${report%%=*}=$reports/${report#*=}"
done
code=0
parity-gate parity "${arguments[@]}" ${others[@]+"${others[@]}"} || code=$?
if [ -f "$reports/parity.md" ]; then
  cat "$reports/parity.md" >>"${GITHUB_STEP_SUMMARY:-/dev/null}"
fi
echo "exit-code=$code" >>"${GITHUB_OUTPUT:-/dev/stdout}"
