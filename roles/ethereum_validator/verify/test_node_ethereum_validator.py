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
def client(facts: Mapping[str, Any]) -> Mapping[str, Any]:
    """What is true of the node's client alone, as clients/ has it; Ansible's own expressions are not evaluated."""
    defaults = yaml.safe_load((ROLE / "defaults" / "main.yml").read_text())
    name = facts["variables"].get("ethereum_validator_client") or defaults["ethereum_validator_client"]
    data: Mapping[str, Any] = yaml.safe_load((ROLE / "clients" / f"{name}.yml").read_text())
    return data


@pytest.fixture(scope="module")
def pins(client: Mapping[str, Any]) -> Mapping[str, Any]:
    """The client's pinned releases."""
    data: Mapping[str, Any] = yaml.safe_load((ROLE / client["ethereum_validator_manifest"]).read_text())
    return data


@pytest.fixture(scope="module")
def program(pins: Mapping[str, Any]) -> str:
    """The client's program."""
    return f"/opt/stakeyard/{pins['artifact']}/current/{pins['members'][0]}"


@pytest.fixture(scope="module")
def verified(client: Mapping[str, Any]) -> Mapping[str, Any]:
    """The words by which the client's own file lets it be checked."""
    words: Mapping[str, Any] = client["ethereum_validator_verified"]
    return words


@pytest.fixture(scope="module")
def declared(facts: Mapping[str, Any]) -> set[str]:
    """The public keys that the stack file declares."""
    return {key.casefold().removeprefix("0x") for key in facts["variables"]["stakeyard_signing_keys"]}


def pid(host: Any) -> int:
    """The client's process."""
    return int(host.check_output(f"systemctl show --property=MainPID --value {UNIT}"))


def arguments(host: Any) -> list[str]:
    """What the client's process was started with."""
    command: str = host.check_output(f"tr '\\0' '\\n' < /proc/{pid(host)}/cmdline")
    return command.splitlines()


def test_the_version_is_the_pinned_one(host: Any, facts: Mapping[str, Any], pins: Mapping[str, Any]) -> None:
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


def test_the_client_has_exactly_the_declared_keys(
    host: Any, mount: str, program: str, verified: Mapping[str, Any], declared: set[str]
) -> None:
    """By its own list of what is in the place that it has its keys from."""
    command = verified["list_keys"].format(program=program, mount=mount)
    listed = host.check_output(f"cd /run && {command} 2> /dev/null")
    assert set(re.findall(verified["listed_key"], listed)) == declared
    assert verified["arguments"]["keys"].format(mount=mount) in arguments(host)


def test_no_key_is_without_a_history(host: Any, mount: str, node: Mapping[str, Any], declared: set[str]) -> None:
    database = f"{mount}/{node['signer']['history']}"
    assert host.file(database).size > 0
    known = json.loads(host.file(f"{database.rpartition('/')[0]}/known-keys.json").content_string)
    assert declared <= set(known)
    assert not host.file(f"{mount}/listen.json").exists


def test_secrets_are_for_root_alone(
    host: Any, mount: str, node: Mapping[str, Any], verified: Mapping[str, Any]
) -> None:
    keys, own = f"{mount}/{node['signer']['keys']}", verified["secret_file"].format(mount=mount)
    lines = host.check_output(f"stat -c '%U:%G %a' {keys} {keys}/* {own}").splitlines()
    assert (lines[0], set(lines[1:])) == ("root:root 700", {"root:root 400"})
    readable = verified["readable"].format(mount=mount)
    files = host.check_output(f"find {readable} -type f -printf '%u %m\\n'").splitlines()
    assert set(files) == {f"{USER} 400"}


def test_the_client_can_write_its_history_and_nothing_else(host: Any, mount: str, node: Mapping[str, Any]) -> None:
    database = f"{mount}/{node['signer']['history']}".rpartition("/")[0]
    shown = host.check_output(f"systemctl show --property=ReadWritePaths,ProtectSystem {UNIT}").splitlines()
    assert set(shown) == {f"ReadWritePaths={database}", "ProtectSystem=strict"}
    assert host.file(mount).user == "root"


def test_no_secret_is_in_its_arguments_or_environment(
    host: Any, mount: str, node: Mapping[str, Any], verified: Mapping[str, Any]
) -> None:
    own = verified["secret_file"].format(mount=mount)
    passwords = host.check_output(f"cat {own}; echo; cat {mount}/{node['signer']['keys']}/*.password")
    seen = host.check_output(f"cat /proc/{pid(host)}/cmdline /proc/{pid(host)}/environ | tr '\\0' '\\n'")
    for password in filter(None, passwords.splitlines()):
        assert password not in seen, "a password is among the arguments"
    assert verified["secret_argument"] in seen


def test_it_pays_fees_to_whom_it_should(host: Any, facts: Mapping[str, Any], verified: Mapping[str, Any]) -> None:
    recipient = facts["variables"]["ethereum_validator_fee_recipient"]
    assert verified["arguments"]["fee_recipient"].format(fee_recipient=recipient) in arguments(host)


def test_it_looks_for_doppelgangers(host: Any, verified: Mapping[str, Any]) -> None:
    assert verified["arguments"]["doppelganger"] in arguments(host)


def test_it_listens_for_its_metrics_on_loopback_only(host: Any, node: Mapping[str, Any]) -> None:
    lines = host.check_output("ss --no-header --numeric --listening --tcp --udp --processes").splitlines()
    addresses = {line.split()[4] for line in lines if f"pid={pid(host)}," in line}
    assert addresses == {f"127.0.0.1:{node['ports']['validator-metrics']['port']}"}


def test_the_service_user_cannot_log_in(host: Any) -> None:
    user = host.user(USER)
    assert user.shell == "/usr/sbin/nologin"
    assert user.password in ("!", "!!", "*", "!*")
    assert host.check_output(f"stat -c %U /proc/{pid(host)}") == USER
