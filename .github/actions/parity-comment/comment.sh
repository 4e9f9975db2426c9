#!/usr/bin/env bash
# Writes a summary as the comment of the pull request whose head is at a commit, or updates the one that is there.
#
# usage: GH_TOKEN=… REPOSITORY=… HEAD_OWNER=… HEAD_BRANCH=… HEAD_SHA=… ARTIFACT=… RUN_URL=… comment.sh FILE
set -euo pipefail
mark="<!-- parity: $ARTIFACT -->"
# Every reader below reads to the end: one that stops early would end its writer, and with it this script.
number=$(gh api --method GET "repos/$REPOSITORY/pulls" -f state=open -f "head=$HEAD_OWNER:$HEAD_BRANCH" \
  --jq '.[] | "\(.number) \(.head.sha)"' |
  awk -v sha="$HEAD_SHA" '$2 == sha && !found { found = $1 } END { if (found) print found }')
if [ -z "$number" ]; then
  echo "no open pull request has $HEAD_SHA as its head: nothing to comment"
  exit 0
fi
body=$(mktemp)
trap 'rm -f "$body"' EXIT
{
  echo "$mark"
  if [ -f "$1" ]; then
    # A fork may have written anything here: as text it links to nothing, shows no picture and calls nobody. GitHub takes
    # 65,536 characters.
    echo '```text'
    head -c 60000 "$1" | tr -d '`'
    printf '\n```\n'
  else
    echo 'There is no result: the run ended before it could compare.'
  fi
  printf '\n[The run](%s) has the page with every figure among its artifacts.\n' "$RUN_URL"
} >"$body"
comment=$(gh api --paginate "repos/$REPOSITORY/issues/$number/comments" \
  --jq '.[] | select(.user.type == "Bot") | "\(.id) \(.body | split("\n")[0])"' | awk -v mark="$mark" '
  { id = $1; sub(/^[0-9]+ /, ""); sub(/\r$/, ""); if ($0 == mark && !found) found = id }
  END { if (found) print found }')
if [ -n "$comment" ]; then
  gh api --silent --method PATCH "repos/$REPOSITORY/issues/comments/$comment" -F "body=@$body"
  echo "updated the comment on #$number"
else
  gh api --silent --method POST "repos/$REPOSITORY/issues/$number/comments" -F "body=@$body"
  echo "commented on #$number"
fi
