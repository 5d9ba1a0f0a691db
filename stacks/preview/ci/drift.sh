#!/usr/bin/env bash
# drift.sh STACK OUT: the scheduled look for drift. Ends with the command's status: 2 makes the run fail, so that
# whoever watches the schedule is told.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source-path=SCRIPTDIR source=credentials.sh
. "$here/credentials.sh"
[ $# -eq 2 ] || fail "usage: drift.sh STACK OUT"
stack=$1 out=$2
write_credentials
mkdir -p "$out"
status=0
"${STAKEYARD:-$here/../../../.venv/bin/stakeyard}" drift --stack "$stack" --out "$out" || status=$?
echo "$status" >"$out/status"
if [ -n "${GITHUB_STEP_SUMMARY:-}" ] && [ -f "$out/preview.md" ]; then
  cat "$out/preview.md" >>"$GITHUB_STEP_SUMMARY"
fi
exit "$status"
