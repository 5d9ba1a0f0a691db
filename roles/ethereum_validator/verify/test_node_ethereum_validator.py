"""What must hold on one converged validator; whether its keys do their duties is for the fleet's checks to see."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

ROLE = Path(__file__).resolve().parent.parent
UNIT = "ethereum-validator.service"
WORST_SCORE = 1.3
USER = "ethereum-validator"


@pytest.fixture(scope="module")
def node() -> Mapping[str, Any]:
    """The kind's own node.yml."""
    data: Mapping[str, Any] = yaml.safe_load((ROLE / "node.yml").read_text())
    return data


@pytest.fixture(scope="module")
def mount(node: Mapping[str, Any]) -> str:
    """Where the key volume is."""
    return str(node["volumes"][node["signer"]["volume"]]["mount"])


@pytest.fixture(scope="module")
def program() -> str:
    """The client's program."""
    pins = yaml.safe_load((ROLE / "artifacts.yml").read_text())
    return f"/opt/stakeyard/{pins['artifact']}/current/{pins['members'][0]}"


@pytest.fixture(scope="module")
def declared(facts: Mapping[str, Any]) -> set[str]:
    """The public keys that the stack file declares."""
    return {key.casefold().removeprefix("0x") for key in facts["variables"]["stakeyard_signing_keys"]}


def pid(host: Any) -> int:
    """The client's process."""
    return int(host.check_output(f"systemctl show --property=MainPID --value {UNIT}"))


def test_the_version_is_the_pinned_one(host: Any, facts: Mapping[str, Any]) -> None:
    pins = yaml.safe_load((ROLE / "artifacts.yml").read_text())
    network = facts["variables"].get("ethereum_network", "mainnet")
    release = facts["variables"].get("ethereum_validator_version") or pins["default"][network]
    current = host.file(f"/opt/stakeyard/{pins['artifact']}/current").linked_to
    assert current.rsplit("/", 1)[1].startswith(f"{release}-")


def test_the_running_program_is_the_installed_one(host: Any, program: str) -> None:
    assert host.check_output(f"sha256sum < /proc/{pid(host)}/exe") == host.check_output(f"sha256sum < {program}")


def test_the_unit_runs_at_boot_and_scores_at_most_1_3(host: Any) -> None:
    unit = host.service(UNIT)
    assert unit.is_running
    assert unit.is_enabled
    score = host.run(f"systemd-analyze security --no-pager --threshold={int(WORST_SCORE * 10)} {UNIT}")
    overall = [line for line in score.stdout.splitlines() if "Overall exposure level" in line]
    assert score.rc == 0, overall
    assert overall


def test_it_never_starts_by_itself_again_and_may_stop_in_peace(host: Any) -> None:
    shown = host.check_output(f"systemctl show --property=Restart,TimeoutStopUSec {UNIT}").splitlines()
    assert set(shown) == {"Restart=no", "TimeoutStopUSec=5min"}


def test_every_start_asks_the_gate(host: Any, mount: str) -> None:
    conditions = host.check_output(f"systemctl show --property=ExecCondition --value {UNIT}")
    assert f"/usr/local/lib/stakeyard/signer-gate --mount {mount} " in conditions
    assert "ignore_errors=yes" not in conditions


def test_the_claim_is_for_these_keys_and_this_server(host: Any, mount: str, declared: set[str]) -> None:
    claim = json.loads(host.file(f"{mount}/claim.json").content_string)
    assert claim["server"] == host.file("/etc/stakeyard/server-id").content_string.strip()
    assert len(claim["keys"]) == len(declared)
    assert set(claim["begun"]) == set(claim["keys"])
    assert host.file(f"{mount}/claim.json").mode == 0o600


def test_the_key_volume_holds_exactly_the_declared_keystores(
    host: Any, mount: str, node: Mapping[str, Any], declared: set[str]
) -> None:
    names = host.check_output(f"ls {mount}/{node['signer']['keys']}").split()
    assert {name.removesuffix(".json") for name in names if name.endswith(".json")} == declared
    assert {name.removesuffix(".password") for name in names if name.endswith(".password")} == declared


def test_the_client_has_exactly_the_declared_keys(host: Any, mount: str, program: str, declared: set[str]) -> None:
    """By its own list of what is in the wallet that it runs with."""
    access = f"--wallet-dir={mount}/wallet --wallet-password-file={mount}/wallet.password --accept-terms-of-use"
    listed = host.check_output(f"cd /run && {program} accounts list {access} 2> /dev/null")
    assert set(re.findall(r"public key\S* 0x([0-9a-f]{96})", listed)) == declared
    command = host.check_output(f"tr '\\0' '\\n' < /proc/{pid(host)}/cmdline")
    assert f"--wallet-dir={mount}/wallet" in command.splitlines()


def test_no_key_is_without_a_history(host: Any, mount: str, node: Mapping[str, Any], declared: set[str]) -> None:
    database = f"{mount}/{node['signer']['history']}"
    assert host.file(database).size > 0
    known = json.loads(host.file(f"{database.rpartition('/')[0]}/known-keys.json").content_string)
    assert declared <= set(known)
    assert not host.file(f"{mount}/listen.json").exists


def test_secrets_are_for_root_alone(host: Any, mount: str, node: Mapping[str, Any]) -> None:
    keys = f"{mount}/{node['signer']['keys']}"
    lines = host.check_output(f"stat -c '%U:%G %a' {keys} {keys}/* {mount}/wallet.password").splitlines()
    assert (lines[0], set(lines[1:])) == ("root:root 700", {"root:root 400"})
    wallet = host.check_output(f"find {mount}/wallet -type f -printf '%u %m\\n'").splitlines()
    assert set(wallet) == {f"{USER} 400"}


def test_the_client_can_write_its_history_and_nothing_else(host: Any, mount: str, node: Mapping[str, Any]) -> None:
    database = f"{mount}/{node['signer']['history']}".rpartition("/")[0]
    shown = host.check_output(f"systemctl show --property=ReadWritePaths,ProtectSystem {UNIT}").splitlines()
    assert set(shown) == {f"ReadWritePaths={database}", "ProtectSystem=strict"}
    assert host.file(mount).user == "root"


def test_no_secret_is_in_its_arguments_or_environment(host: Any, mount: str, node: Mapping[str, Any]) -> None:
    passwords = host.check_output(f"cat {mount}/wallet.password; echo; cat {mount}/{node['signer']['keys']}/*.password")
    seen = host.check_output(f"cat /proc/{pid(host)}/cmdline /proc/{pid(host)}/environ | tr '\\0' '\\n'")
    for password in filter(None, passwords.splitlines()):
        assert password not in seen, "a password is among the arguments"
    assert "--wallet-password-file=" in seen


def test_it_pays_fees_to_whom_it_should(host: Any, facts: Mapping[str, Any]) -> None:
    command = host.check_output(f"tr '\\0' '\\n' < /proc/{pid(host)}/cmdline").splitlines()
    assert f"--suggested-fee-recipient={facts['variables']['ethereum_validator_fee_recipient']}" in command


def test_it_looks_for_doppelgangers(host: Any) -> None:
    assert "--enable-doppelganger" in host.check_output(f"tr '\\0' '\\n' < /proc/{pid(host)}/cmdline").splitlines()


def test_it_listens_for_its_metrics_on_loopback_only(host: Any, node: Mapping[str, Any]) -> None:
    lines = host.check_output("ss --no-header --numeric --listening --tcp --udp --processes").splitlines()
    addresses = {line.split()[4] for line in lines if f"pid={pid(host)}," in line}
    assert addresses == {f"127.0.0.1:{node['ports']['validator-metrics']['port']}"}


def test_the_service_user_cannot_log_in(host: Any) -> None:
    user = host.user(USER)
    assert user.shell == "/usr/sbin/nologin"
    assert user.password in ("!", "!!", "*", "!*")
    assert host.check_output(f"stat -c %U /proc/{pid(host)}") == USER
