"""What must hold between the Bitcoin nodes of one fleet."""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import testinfra  # type: ignore[import-untyped]
import yaml

ROLE = Path(__file__).resolve().parent.parent
CLI = "/opt/stakeyard/bitcoin/current/bin/bitcoin-cli -conf=/etc/bitcoin/credentials/monitor.conf"
PATIENCE = 180.0
PAUSE = 3.0
Node = Mapping[str, Any]


@pytest.fixture(scope="module")
def nodes(facts: Mapping[str, Any]) -> Sequence[Node]:
    """All nodes of the kind."""
    found: Sequence[Node] = facts["nodes"]
    return found


@pytest.fixture(scope="module")
def hosts(facts: Mapping[str, Any], nodes: Sequence[Node]) -> Mapping[str, Any]:
    """A connection to each node by its name."""
    config = facts["ssh_config"]
    return {node["name"]: testinfra.get_host(f"ssh://{node['name']}", ssh_config=config, sudo=True) for node in nodes}


def network_of(node: Node) -> str:
    """The chain network of a node."""
    return str(node["variables"].get("bitcoin_network", "main"))


def ask(host: Any, call: str) -> Any:
    """The answer to an RPC call that needs no arguments."""
    return json.loads(host.check_output(f"{CLI} {call}"))


def within(seconds: float, met: Callable[[], bool]) -> bool:
    """Whether the condition is met before the time is over."""
    end = time.monotonic() + seconds
    while not met():
        if time.monotonic() > end:
            return False
        time.sleep(PAUSE)
    return True


def same_network(nodes: Sequence[Node]) -> Iterator[Sequence[Node]]:
    """The nodes, network by network."""
    for network in sorted({network_of(node) for node in nodes}):
        yield [node for node in nodes if network_of(node) == network]


def chain_of(host: Any) -> Mapping[str, Any]:
    """What the node says of its chain."""
    found: Mapping[str, Any] = ask(host, "getblockchaininfo")
    return found


def downloads(node: Node, chain: Mapping[str, Any]) -> bool:
    """Whether the node is still getting the chain, which on main takes days.

    Core says so until its newest block has the least work of the network and is at most a day old. Regtest asks for no
    work, so there it only says that nothing was mined of late, and is no reason to look away.
    """
    return network_of(node) != "regtest" and bool(chain["initialblockdownload"])


def how_far(node: Node, chain: Mapping[str, Any]) -> str:
    """The node with its newest block, and the newest that it knows of."""
    return f"{node['name']} (block {chain['blocks']} of {chain['headers']})"


def mines(group: Sequence[Node]) -> bool:
    """Whether one of the nodes makes blocks."""
    return any(node["variables"].get("bitcoin_regtest_mine_seconds", 0) > 0 for node in group)


def comes_on(group: Sequence[Node]) -> bool:
    """Whether there are new blocks on these nodes' network: on a private one, where one of them mines."""
    return network_of(group[0]) != "regtest" or mines(group)


def test_every_node_is_connected_to_its_peers(nodes: Sequence[Node], hosts: Mapping[str, Any]) -> None:
    by_name = {node["name"]: node for node in nodes}
    for node in nodes:
        wanted = {
            peer["address"] for peer in node["peers"]
            if peer["name"] not in by_name or network_of(by_name[peer["name"]]) == network_of(node)
        }  # fmt: skip

        def connected(node: Node = node, wanted: set[str] = wanted) -> bool:
            peers = ask(hosts[node["name"]], "getpeerinfo")
            return wanted <= {peer["addr"].rpartition(":")[0] for peer in peers}

        assert within(PATIENCE, connected), f"{node['name']} has no connection to all of {sorted(wanted)}"


def test_the_tip_is_the_same_everywhere(nodes: Sequence[Node], hosts: Mapping[str, Any]) -> None:
    left_out = []
    for group in same_network(nodes):
        chains = {node["name"]: chain_of(hosts[node["name"]]) for node in group}
        behind = [node for node in group if downloads(node, chains[node["name"]])]
        others = [node for node in group if node not in behind]
        if len(others) < 2:
            left_out += [how_far(node, chains[node["name"]]) for node in behind]
            continue
        seen: dict[str, str] = {}

        def equal(group: Sequence[Node] = others, seen: dict[str, str] = seen) -> bool:
            for node in group:
                seen[node["name"]] = hosts[node["name"]].check_output(f"{CLI} getbestblockhash")
            return len(set(seen.values())) == 1

        assert within(PATIENCE, equal), f"tips differ: {seen}"
    if left_out:
        pytest.skip(f"fewer than two nodes of a network have the chain; still downloading: {', '.join(left_out)}")


def test_the_tip_advances_where_a_node_mines(nodes: Sequence[Node], hosts: Mapping[str, Any]) -> None:
    for group in same_network(nodes):
        if not mines(group):
            continue
        before = {node["name"]: ask(hosts[node["name"]], "getblockcount") for node in group}
        for node in group:

            def further(name: str = node["name"], height: int = before[node["name"]]) -> bool:
                return int(ask(hosts[name], "getblockcount")) > height

            assert within(PATIENCE, further), f"{node['name']} stays at block {before[node['name']]}"


def age(host: Any, chain: Mapping[str, Any]) -> int:
    """Seconds since the newest block, by the node's own clock."""
    return int(host.check_output("date +%s")) - int(chain["time"])


def newer(host: Any, first: Mapping[str, Any], limit: int) -> Mapping[str, Any]:
    """The node's chain when its newest block is at most `limit` seconds old or newer than `first`, or time is over."""
    latest = [first]

    def moved() -> bool:
        latest.append(chain_of(host))
        return age(host, latest[-1]) <= limit or latest[-1]["blocks"] > first["blocks"]

    within(PATIENCE, moved)
    return latest[-1]


def test_the_newest_block_is_recent_or_newer_ones_come(nodes: Sequence[Node], hosts: Mapping[str, Any]) -> None:
    """A node that was away catches up and is skipped; one that has stopped following the chain fails."""
    limits = yaml.safe_load((ROLE / "node.yml").read_text())["health"]["tip_age_seconds"]
    behind = []
    for node in (node for group in same_network(nodes) if comes_on(group) for node in group):
        host, limit = hosts[node["name"]], limits[network_of(node)]
        first = chain_of(host)
        waits = downloads(node, first)
        latest = first if waits else newer(host, first, limit)
        old = age(host, latest)
        assert waits or old <= limit or latest["blocks"] > first["blocks"], (
            f"{node['name']}: block {latest['blocks']}, its newest, is {old // 60} minutes old and none follows"
        )
        if waits or old > limit:
            behind.append(how_far(node, latest))
    if behind:
        pytest.skip(f"still getting older blocks: {', '.join(behind)}")


def connects(host: Any, address: str, port: int) -> bool:
    """Whether a TCP connection from `host` is accepted."""
    script = f"import socket; socket.create_connection(('{address}', {port}), timeout=5)"
    return bool(host.run(f'python3 -c "{script}"').succeeded)


def test_ports_are_open_to_other_nodes_exactly_as_declared(nodes: Sequence[Node], hosts: Mapping[str, Any]) -> None:
    ports = yaml.safe_load((ROLE / "node.yml").read_text())["ports"]
    for one, other in combinations(nodes, 2):
        for source, target in ((one, other), (other, one)):
            for name, rule in ports.items():
                number = rule["port"][network_of(target)] if isinstance(rule["port"], dict) else rule["port"]
                declared = rule["reach"] in ("internet", "site") or (
                    rule["reach"] == "peers" and source["name"] in {peer["name"] for peer in target["peers"]}
                )
                seen = connects(hosts[source["name"]], target["address"], number)
                assert seen == declared, f"{name} ({number}) of {target['name']} from {source['name']}: open is {seen}"
