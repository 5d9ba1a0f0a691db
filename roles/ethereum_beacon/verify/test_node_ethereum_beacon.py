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
BEHIND = 256
"""Slots. A node that is further behind downloads the chain, for hours or days; a nearer one was away for a while."""
CATCH_UP = 900
"""Seconds in which one that was away for a while is at the head again: mostly to find peers."""


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


def downloads(status: Mapping[str, Any], executed: int | None) -> str:
    """Why a node cannot be at the chain's head yet, which is no failure; empty where it can.

    `status` is `/eth/v1/node/syncing`; `executed` the newest block of the execution client beside it, None without one.
    """
    head, distance = int(status["head_slot"]), int(status["sync_distance"])
    if head == 0 or distance > BEHIND:
        return f"it downloads the chain: it is at slot {head}, {distance} behind"
    if status["is_optimistic"] and not executed:
        return f"its execution client downloads the chain, and cannot check its slot {head} yet"
    return ""


def lags(status: Mapping[str, Any]) -> str:
    """What keeps a node from following the head; empty where nothing does."""
    said = [word for word in ("is_syncing", "is_optimistic", "el_offline") if status[word]]
    return f"it is at slot {status['head_slot']}, {status['sync_distance']} behind ({', '.join(said)})" if said else ""


def newest_executed(host: Any) -> int | None:
    """Number of the newest block that the execution client on the same server has; None where there is none."""
    ports = yaml.safe_load((ROLE.parent / "ethereum_execution" / "node.yml").read_text())["ports"]
    body = '{"jsonrpc": "2.0", "id": 1, "method": "eth_blockNumber", "params": []}'
    script = (
        "import sys, urllib.request as u; print(u.urlopen(u.Request(sys.argv[1], sys.argv[2].encode(), "
        "{'Content-Type': 'application/json'}), timeout=20).read().decode())"
    )
    answer = host.run("python3 -c %s %s %s", script, f"http://127.0.0.1:{ports['execution-rpc']['port']}", body)
    return int(json.loads(answer.stdout)["result"], 16) if answer.succeeded else None


def test_a_node_that_was_at_the_head_is_there_again(host: Any, node: Mapping[str, Any]) -> None:
    """A rollout touches the next node after this one's checks: not both may be away at once."""
    end = time.monotonic() + CATCH_UP
    while lag := lags(status := ask(host, node, "/eth/v1/node/syncing")):
        if why := downloads(status, newest_executed(host)):
            pytest.skip(why)
        assert time.monotonic() < end, f"after {CATCH_UP} s {lag}"
        time.sleep(5)


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
