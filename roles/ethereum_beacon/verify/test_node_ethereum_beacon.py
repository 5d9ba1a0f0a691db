"""What must hold on one converged beacon node."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

ROLE = Path(__file__).resolve().parent.parent
UNIT = "ethereum-beacon.service"
WORST_SCORE = 1.5


@pytest.fixture(scope="module")
def node() -> Mapping[str, Any]:
    """The kind's own node.yml."""
    data: Mapping[str, Any] = yaml.safe_load((ROLE / "node.yml").read_text())
    return data


@pytest.fixture(scope="module")
def devnet(facts: Mapping[str, Any]) -> Mapping[str, Any]:
    """What is to be known of the private network; nothing on a public one."""
    folder = facts["variables"].get("ethereum_devnet")
    known: Mapping[str, Any] = json.loads((Path(folder) / "devnet.json").read_text()) if folder else {}
    return known


def ask(host: Any, node: Mapping[str, Any], path: str) -> Any:
    """The `data` of one answer of the Beacon API."""
    port = node["ports"]["beacon-api"]["port"]
    script = "import sys, urllib.request as u; print(u.urlopen(sys.argv[1], timeout=20).read().decode())"
    return json.loads(host.check_output("python3 -c %s %s", script, f"http://127.0.0.1:{port}{path}"))["data"]


def test_it_is_on_the_right_chain(
    host: Any, node: Mapping[str, Any], facts: Mapping[str, Any], devnet: Mapping[str, Any]
) -> None:
    network = facts["variables"].get("ethereum_network", "mainnet")
    wanted = devnet.get("genesis_validators_root")
    wanted = wanted or yaml.safe_load((ROLE / "networks.yml").read_text())[network]["genesis_validators_root"]
    assert ask(host, node, "/eth/v1/beacon/genesis")["genesis_validators_root"] == wanted


def test_the_version_is_the_pinned_one(host: Any, facts: Mapping[str, Any]) -> None:
    pins = yaml.safe_load((ROLE / "artifacts.yml").read_text())
    network = facts["variables"].get("ethereum_network", "mainnet")
    release = facts["variables"].get("ethereum_beacon_version") or pins["default"][network]
    current = host.file(f"/opt/stakeyard/{pins['artifact']}/current").linked_to
    assert current.rsplit("/", 1)[1].startswith(f"{release}-")


def test_its_execution_client_answers(host: Any, node: Mapping[str, Any], devnet: Mapping[str, Any]) -> None:
    if time.time() < devnet.get("genesis_time", 0) + 30:
        pytest.skip("the private network has not begun")
    assert ask(host, node, "/eth/v1/node/syncing")["el_offline"] is False


def test_it_listens_on_its_ports_and_on_loopback_for_the_rest(
    host: Any, node: Mapping[str, Any], facts: Mapping[str, Any]
) -> None:
    listening = {line.split()[3] for line in host.check_output("ss -Hltn").splitlines()}
    opened = {port["name"] for port in facts["ports"]}
    for name in ("beacon-api", "beacon-grpc", "beacon-metrics"):
        port = node["ports"][name]["port"]
        found = {address for address in listening if address.endswith(f":{port}")}
        assert found, name
        if name not in opened:
            assert found == {f"127.0.0.1:{port}"}, name


def test_the_unit_is_hardened(host: Any) -> None:
    score = host.run(f"systemd-analyze security --no-pager --threshold={int(WORST_SCORE * 10)} {UNIT}")
    assert score.rc == 0, [line for line in score.stdout.splitlines() if "Overall exposure level" in line]


def test_a_stop_may_take_five_minutes(host: Any) -> None:
    assert host.check_output(f"systemctl show -P TimeoutStopUSec {UNIT}") == "5min"


def test_it_runs(host: Any) -> None:
    assert host.service("ethereum-beacon").is_running
