"""Execution client and beacon node on one host of a private network: converged, checked, refused what is wrong."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from stacks.catalogue import load_catalogue
from stacks.devnet import make
from stacks.errors import StakeyardError
from stacks.runner import RunResult, converge
from stacks.ssh import session
from stacks.verification import check_files, run
from tests.roles.machine import NETWORK, Machine

pytestmark = pytest.mark.host
ROLES = ("host", "ethereum_execution", "ethereum_beacon")
DELAY = "120"
"""Seconds until the network's first slot: the clients start before it."""


@dataclass(frozen=True)
class Node:
    """A host with what the program would tell it."""

    machine: Machine
    variables: dict[str, Any]

    def converge(self, *, check: bool = False, **changes: object) -> RunResult:
        """Apply the roles with these variables changed."""
        return converge(self.machine.ssh, ROLES, {**self.variables, **changes}, lambda _line: None, check=check)


@pytest.fixture(scope="module")
def node(make_host: Callable[[str], Machine], tmp_path_factory: pytest.TempPathFactory) -> Node:
    """A converged node of a new network."""
    devnet = tmp_path_factory.mktemp("network")
    make("ethereum_beacon", devnet, ["--validators", "8", "--sets", "1", "--delay", DELAY], print)
    machine = make_host("ethereum-1")
    variables: dict[str, Any] = {
        "stakeyard_node": machine.name,
        "stakeyard_kind": "ethereum_node",
        "stakeyard_address": machine.address,
        "stakeyard_network_cidr": NETWORK,
        "stakeyard_operator_ranges": [NETWORK],
        "stakeyard_peers": [{"name": "ethereum-2", "address": "172.31.249.250"}],
        "stakeyard_uses": [],
        "stakeyard_ports": [
            {"name": port.name, "protocol": port.protocol, "port": port.port, "sources": [NETWORK]}
            for port in load_catalogue().resolve("ethereum_node", {"ethereum_network": "devnet"}).ports
            if port.reach in ("internet", "operators") or port.name == "beacon-api"
        ],
        "stakeyard_egress": [],
        "ethereum_network": "devnet",
        "ethereum_devnet": str(devnet),
    }
    made = Node(machine, variables)
    made.converge()
    return made


def test_every_check_of_both_roles_passes(node: Node) -> None:
    resolved = load_catalogue().resolve("ethereum_node", {"ethereum_network": "devnet"})
    facts = {
        "node": node.machine.name,
        "name": node.machine.name,
        "kind": "ethereum_node",
        "host": node.machine.address,
        "address": node.machine.address,
        "variables": node.variables,
        "ports": node.variables["stakeyard_ports"],
        "egress": [],
        "peers": node.variables["stakeyard_peers"],
        "volumes": {},
        "files": [file.model_dump() for file in resolved.files],
        "units": list(resolved.units),
    }
    with session([node.machine.ssh]) as opened:
        checks = run(opened, check_files(ROLES, "node"), {**facts, "nodes": [facts]}, lambda _line: None)
    assert [f"{check.name}: {check.reason}" for check in checks if check.outcome == "failed"] == []
    assert len([check for check in checks if check.outcome == "passed"]) >= 20


def test_a_second_run_changes_nothing(node: Node) -> None:
    assert node.converge().changed == 0


def test_check_mode_changes_nothing_and_shows_a_change(node: Node) -> None:
    assert node.converge(check=True, ethereum_beacon_maxpeers=7).changed > 0
    assert node.converge().changed == 0


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "a devnet without its files": ({"ethereum_devnet": ""}, "ethereum_devnet names the files of a private network"),
    "files of a devnet for a public network": ({"ethereum_network": "hoodi"}, "ethereum_devnet names the files"),
    "a short secret": ({"ethereum_jwt_secret": "abc"}, "ethereum_jwt_secret must be 64 hexadecimal digits"),
    "an engine for others without a common secret": (
        {
            "stakeyard_ports": [
                {"name": "ssh", "protocol": "tcp", "port": 22, "sources": [NETWORK]},
                {"name": "engine", "protocol": "tcp", "port": 8551, "sources": [NETWORK]},
            ]
        },
        "a beacon node on another server uses this execution client: give both the same secret",
    ),
    "a checkpoint without a witness": (
        {"ethereum_beacon_checkpoint_url": "https://one.example"},
        "a checkpoint needs a second source",
    ),
    "a witness that is the source": (
        {
            "ethereum_beacon_checkpoint_url": "https://one.example",
            "ethereum_beacon_checkpoint_witness_url": "https://one.example",
        },
        "a checkpoint needs a second source",
    ),
    "a release that is not pinned": ({"ethereum_beacon_version": "7.9.9"}, "version 7.9.9 is not pinned"),
    "a release older than the next fork needs": (
        {"ethereum_beacon_version": "6.0.0"},
        "prysm 6.0.0 does not know the next fork of devnet: use 7.1.0 or newer",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_refused_and_the_node_goes_on(case: str, node: Node) -> None:
    changes, sentence = WRONG[case]
    units = "systemctl show -P MainPID ethereum-execution ethereum-beacon"
    before = node.machine.root(units)
    with pytest.raises(StakeyardError, match=r"ethereum-1: role \w+, task ") as refused:
        node.converge(**changes)
    assert sentence in str(refused.value)
    assert node.machine.root(units) == before
