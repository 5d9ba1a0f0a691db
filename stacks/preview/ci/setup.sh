#!/usr/bin/env bash
# On a fresh runner: the Python environment, and Pulumi with its plugin.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../../.."
if [ "$(id -u)" = 0 ]; then
  tools/bootstrap.sh
else
  sudo tools/bootstrap.sh
  sudo chown -R "$(id -u):$(id -g)" .venv
fi
.venv/bin/python tools/build.py
