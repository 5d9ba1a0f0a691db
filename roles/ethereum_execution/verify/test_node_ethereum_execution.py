"""What must hold on one converged execution client."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

ROLE = Path(__file__).resolve().parent.parent
UNIT = "ethereum-execution.service"
WORST_SCORE = 1.5


@pytest.fixture(scope="module")
def node() -> Mapping[str, Any]:
    """The kind's own node.yml."""
    data: Mapping[str, Any] = yaml.safe_load((ROLE / "node.yml").read_text())
    return data


@pytest.fixture(scope="module")
def network(facts: Mapping[str, Any]) -> str:
    """The node's chain network."""
    return str(facts["variables"].get("ethereum_network", "mainnet"))


def rpc(host: Any, node: Mapping[str, Any], method: str, *parameters: object) -> Any:
    """One answer of the client's JSON-RPC."""
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters})
    port = node["ports"]["execution-rpc"]["port"]
    script = (
        "import json, sys, urllib.request as u; print(u.urlopen(u.Request(sys.argv[1], sys.argv[2].encode(), "
        "{'Content-Type': 'application/json'}), timeout=20).read().decode())"
    )
    answer = json.loads(host.check_output("python3 -c %s http://127.0.0.1:%s %s", script, str(port), body))
    assert "result" in answer, answer
    return answer["result"]


def test_it_is_on_the_right_chain(host: Any, node: Mapping[str, Any], network: str) -> None:
    wanted = yaml.safe_load((ROLE / "networks.yml").read_text())[network]
    assert int(rpc(host, node, "eth_chainId"), 16) == wanted["chain_id"]
    genesis = rpc(host, node, "eth_getBlockByNumber", "0x0", False)["hash"]
    assert not wanted["genesis"] or genesis == wanted["genesis"]


def test_the_version_is_the_pinned_one(
    host: Any, node: Mapping[str, Any], facts: Mapping[str, Any], network: str
) -> None:
    pins = yaml.safe_load((ROLE / "artifacts.yml").read_text())
    release = facts["variables"].get("ethereum_execution_version") or pins["default"][network]
    assert f"/v{pins['releases'][release]['reports']}" in rpc(host, node, "web3_clientVersion")


def test_it_listens_on_its_ports_and_on_loopback_for_the_rest(host: Any, node: Mapping[str, Any]) -> None:
    sockets = host.check_output("ss -Hltn").splitlines()
    listening = {line.split()[3] for line in sockets}
    for name in ("execution-rpc", "execution-metrics"):
        port = node["ports"][name]["port"]
        assert {a for a in listening if a.endswith(f":{port}")} == {f"127.0.0.1:{port}"}, name
    assert any(address.endswith(f":{node['ports']['execution-p2p']['port']}") for address in listening)


def test_the_engine_is_closed_to_who_has_no_secret(host: Any, node: Mapping[str, Any]) -> None:
    port = node["ports"]["engine"]["port"]
    script = (
        "import sys, urllib.request as u, urllib.error as e\n"
        "try: u.urlopen(sys.argv[1], b'{}', timeout=20)\n"
        "except e.HTTPError as error: print(error.code)"
    )
    assert host.check_output("python3 -c %s http://127.0.0.1:%s", script, str(port)) in ("401", "403")


def test_the_secret_of_the_engine_is_for_root_alone(host: Any) -> None:
    with host.sudo():
        secret = host.file("/etc/ethereum/jwt.hex")
        assert (secret.user, secret.mode) == ("root", 0o600)
        assert len(secret.content_string.strip()) == 64


def test_the_unit_is_hardened(host: Any) -> None:
    score = host.run(f"systemd-analyze security --no-pager --threshold={int(WORST_SCORE * 10)} {UNIT}")
    assert score.rc == 0, [line for line in score.stdout.splitlines() if "Overall exposure level" in line]


def test_a_stop_may_take_five_minutes(host: Any) -> None:
    assert host.check_output(f"systemctl show -P TimeoutStopUSec {UNIT}") == "5min"


def test_it_has_not_failed_and_was_not_restarted_by_itself(host: Any) -> None:
    assert host.service("ethereum-execution").is_running
    first = host.check_output(f"systemctl show -P NRestarts {UNIT}")
    time.sleep(2)
    assert host.check_output(f"systemctl show -P NRestarts {UNIT}") == first
