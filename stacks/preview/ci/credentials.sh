# shellcheck shell=bash
# Sourced by preview.sh and drift.sh. What a runner may know is in variables of the job:
#
#   STAKEYARD_CLOUDS_YAML     content of clouds.yaml
#   STAKEYARD_SSH_KEY         content of the operators' private key
#   STAKEYARD_SSH_KEY_FILE    where the stack file says that key is (`operators.private_key_file`)
#   PULUMI_BACKEND_URL, PULUMI_CONFIG_PASSPHRASE and what the backend needs: read by Pulumi itself
#
# The files live in memory, or where the stack file wants them, and go away with the job's step.

fail() {
  echo "ci: $*" >&2
  exit 1
}

forbid_credentials() { # for code of strangers: nothing that it could steal
  local name
  for name in STAKEYARD_CLOUDS_YAML STAKEYARD_SSH_KEY PULUMI_CONFIG_PASSPHRASE PULUMI_ACCESS_TOKEN \
    AWS_SECRET_ACCESS_KEY OS_PASSWORD OS_APPLICATION_CREDENTIAL_SECRET STAKEYARD_COMMENT_TOKEN; do
    [ -z "${!name:-}" ] || fail "$name is set, but a mocked preview gets no credentials: take it out of the job."
  done
}

remove_credentials() {
  rm -rf -- "${CREDENTIALS:?}"
  [ -z "${WRITTEN_KEY:-}" ] || rm -f -- "$WRITTEN_KEY" "$WRITTEN_KEY.pub"
}

write_credentials() {
  umask 077
  CREDENTIALS=$(mktemp -d -p /dev/shm stakeyard-ci.XXXXXX)
  trap remove_credentials EXIT
  [ -n "${STAKEYARD_CLOUDS_YAML:-}" ] || fail "STAKEYARD_CLOUDS_YAML is empty: give the job the content of clouds.yaml."
  printf '%s\n' "$STAKEYARD_CLOUDS_YAML" >"$CREDENTIALS/clouds.yaml"
  export OS_CLIENT_CONFIG_FILE=$CREDENTIALS/clouds.yaml
  unset STAKEYARD_CLOUDS_YAML
  [ -n "${STAKEYARD_SSH_KEY:-}" ] || return 0
  local file=${STAKEYARD_SSH_KEY_FILE:-}
  file=${file/#\~/$HOME}
  [ -n "$file" ] || fail "STAKEYARD_SSH_KEY_FILE is empty: say where the stack file expects the operators' key."
  { [ ! -e "$file" ] && [ ! -e "$file.pub" ]; } || fail "$file is there already: a runner that others use is no place for the operators' key."
  mkdir -p "$(dirname "$file")"
  printf '%s\n' "$STAKEYARD_SSH_KEY" >"$file"
  WRITTEN_KEY=$file
  unset STAKEYARD_SSH_KEY
  ssh-keygen -y -f "$file" >"$file.pub" </dev/null || fail "STAKEYARD_SSH_KEY is not a private key without a passphrase."
}
