#!/usr/bin/env bash
# actionlint.sh FILE...: lint workflow files of GitHub Actions with the actionlint that tools/actionlint/go.mod pins.
# Go builds it the first time and keeps it in its own cache.
set -euo pipefail
files=()
for file in "$@"; do files+=("$(realpath "$file")"); done
cd "$(dirname "${BASH_SOURCE[0]}")/.."
go=$(.venv/bin/python -c 'from tools import golang; print(golang.find())')
unset GOOS GOARCH
export GOWORK=off GOTOOLCHAIN=auto GOFLAGS=-mod=readonly
exec "$go" -C tools/actionlint tool actionlint "${files[@]}"
