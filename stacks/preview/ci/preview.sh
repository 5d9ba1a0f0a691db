#!/usr/bin/env bash
# preview.sh asked|mocked STACK BASE OUT: a preview for a pull request, written to the folder OUT.
# `asked` takes the job's credentials (see credentials.sh); `mocked` refuses to have any.
# Ends well when a reviewer has to look, which is what a pull request is for; not when a policy refuses or it fails.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source-path=SCRIPTDIR source=credentials.sh
. "$here/credentials.sh"
[ $# -eq 4 ] || fail "usage: preview.sh asked|mocked STACK BASE OUT"
mode=$1 stack=$2 base=$3 out=$4
case $mode in
asked) write_credentials ;;
mocked) forbid_credentials ;;
*) fail "the first word is $mode: it must be asked or mocked." ;;
esac

mkdir -p "$out"
status=0
"${STAKEYARD:-$here/../../../.venv/bin/stakeyard}" preview --stack "$stack" --base "$base" "--$mode" --out "$out" || status=$?
echo "$status" >"$out/status"
if [ -n "${GITHUB_STEP_SUMMARY:-}" ] && [ -f "$out/preview.md" ]; then
  cat "$out/preview.md" >>"$GITHUB_STEP_SUMMARY"
fi
case $status in
0) echo "ci: nothing, or nothing that somebody must look at" ;;
2) echo "ci: somebody has to look at it" ;;
3) fail "refused by a policy (status 3): the report says by which, and what to do." ;;
*) fail "there is no preview (status $status): the lines above say why." ;;
esac
