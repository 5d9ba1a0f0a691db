"""Execution client and beacon node of a private network, on one host and on two: converged, checked, refused what is
wrong.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from roles.ethereum_beacon.module_utils.stakeyard_checkpoint import origin
from roles.ethereum_beacon.module_utils.stakeyard_checkpoint.source import Source
from stacks.catalogue import load_catalogue
from stacks.devnet import make
from stacks.errors import StakeyardError
from stacks.runner import RunResult, converge
from stacks.ssh import session
from stacks.verification import Check, check_files, run
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
    roles: tuple[str, ...] = ROLES

    def converge(self, *, check: bool = False, **changes: object) -> RunResult:
        """Apply the roles with these variables changed."""
        return converge(self.machine.ssh, self.roles, {**self.variables, **changes}, lambda _line: None, check=check)

    def checks(self) -> list[Check]:
        """What the roles' own checks find."""
        kind = self.variables["stakeyard_kind"]
        resolved = load_catalogue().resolve(kind, {"ethereum_network": "devnet"})
        facts = {
            "node": self.machine.name,
            "name": self.machine.name,
            "kind": kind,
            "host": self.machine.address,
            "address": self.machine.address,
            "variables": self.variables,
            "ports": self.variables["stakeyard_ports"],
            "egress": self.variables["stakeyard_egress"],
            "peers": self.variables["stakeyard_peers"],
            "volumes": {},
            "files": [file.model_dump() for file in resolved.files],
            "units": list(resolved.units),
        }
        with session([self.machine.ssh]) as opened:
            return run(opened, check_files(self.roles, "node"), {**facts, "nodes": [facts]}, lambda _line: None)


def ports(kind: str, shared: str, users: str) -> list[dict[str, Any]]:
    """What a node of the kind opens: to everybody, and the port `shared` to its users."""
    return [
        {
            "name": port.name,
            "protocol": port.protocol,
            "port": port.port,
            "sources": [users if port.name == shared else NETWORK],
        }
        for port in load_catalogue().resolve(kind, {"ethereum_network": "devnet"}).ports
        if port.reach in ("internet", "operators") or port.name == shared
    ]


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
        "stakeyard_ports": ports("ethereum_node", "beacon-api", NETWORK),
        "stakeyard_egress": [],
        "ethereum_network": "devnet",
        "ethereum_devnet": str(devnet),
    }
    made = Node(machine, variables)
    made.converge()
    return made


def test_every_check_of_both_roles_passes(node: Node) -> None:
    checks = node.checks()
    assert [f"{check.name}: {check.reason}" for check in checks if check.outcome == "failed"] == []
    assert len([check for check in checks if check.outcome == "passed"]) >= 20


def test_a_second_run_changes_nothing(node: Node) -> None:
    assert node.converge().changed == 0


def test_check_mode_changes_nothing_and_shows_a_change(node: Node) -> None:
    assert node.converge(check=True, ethereum_beacon_maxpeers=7).changed > 0
    assert node.converge().changed == 0


SECOND = "/var/lib/second-beacon"
# A second Prysm on the host, of the service's user, for half a minute; what it says.
BEGIN = f"""
timeout --signal=INT --kill-after=20 30 setpriv --reuid=ethereum-beacon --regid=ethereum-beacon --clear-groups \\
  /opt/stakeyard/prysm-beacon/current/bin/beacon-chain --accept-terms-of-use --datadir={SECOND} \\
  --chain-config-file=/etc/ethereum/config.yml --genesis-state=/etc/ethereum/genesis.ssz \\
  --execution-endpoint=http://127.0.0.1:8551 --jwt-secret=/var/lib/ethereum-beacon/jwt.hex \\
  --contract-deployment-block=0 --interop-eth1data-votes --min-sync-peers=0 --no-discovery \\
  --p2p-tcp-port=13900 --p2p-udp-port=12900 --p2p-quic-port=13900 --http-port=3900 --rpc-port=4900 \\
  --monitoring-port=8900 --checkpoint-state={SECOND}/checkpoint/state.ssz \\
  --checkpoint-block={SECOND}/checkpoint/block.ssz 2>&1 || true
"""
FETCH = """
import pathlib, sys, urllib.request
folder, root = pathlib.Path(sys.argv[1]), sys.argv[2]
for name, path in (("block", f"beacon/blocks/{root}"), ("state", "debug/beacon/states/0")):
    headers = {"Accept": "application/octet-stream"}
    asked = urllib.request.Request(f"http://127.0.0.1:3500/eth/v2/{path}", headers=headers)
    (folder / f"{name}.ssz").write_bytes(urllib.request.urlopen(asked, timeout=60).read())
"""


def test_prysm_begins_with_the_files_of_a_checkpoint(node: Node, tmp_path: Path) -> None:
    """With the first block, as nobody votes here: `--weak-subjectivity-checkpoint` skips its epoch and is not tried."""
    known = json.loads((Path(node.variables["ethereum_devnet"]) / "devnet.json").read_text())
    source = Source(f"http://{node.machine.address}:3500", 60, 60)
    root = source.block_root("genesis")
    source.save_state("0", tmp_path / "state.ssz")
    header, state = origin.header_of(source.block(root)), origin.state_of(origin.head(tmp_path / "state.ssz"))
    origin.check(header, state, root, known["genesis_validators_root"])

    node.machine.root(
        f"install -d -m 0700 {SECOND} {SECOND}/checkpoint\npython3 - {SECOND}/checkpoint {root} << 'END'{FETCH}END\n"
        f"chown -R ethereum-beacon: {SECOND}"
    )
    first = node.machine.root(BEGIN)
    assert "Saving checkpoint data into database" in first, first[-3000:]
    assert root in first
    second = node.machine.root(BEGIN)
    assert "Origin checkpoint found in the database, ignoring checkpoint sync flags" in second, second[-3000:]
    # This is why the files stay.
    without = node.machine.root(f"rm -r {SECOND}/checkpoint\n{BEGIN}\nrm -r {SECOND}")
    assert "error checking existence of ssz-encoded file" in without, without[-3000:]


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
    "a checkpoint for a devnet": (
        {
            "ethereum_beacon_checkpoint_url": "https://one.example",
            "ethereum_beacon_checkpoint_witness_url": "https://two.example",
        },
        "a devnet starts from its own genesis",
    ),
    "a release that is not pinned": ({"ethereum_beacon_version": "7.9.9"}, "version 7.9.9 is not pinned"),
    "a release older than the next fork needs": (
        {"ethereum_beacon_version": "6.0.0"},
        "prysm 6.0.0 does not know the forks of devnet: pin 7.1.0 or newer",
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


SECRET = "5a" * 32


@pytest.fixture(scope="module")
def apart(node: Node, make_host: Callable[[str], Machine]) -> tuple[Node, Node]:
    """Execution client and beacon node of the network on a host each, converged with one secret."""
    execution, beacon = make_host("execution-1"), make_host("beacon-1")
    given = {**node.variables, "stakeyard_peers": [], "ethereum_jwt_secret": SECRET}
    engine = {"name": "beacon-engine", "protocol": "tcp", "port": 8551, "destinations": [f"{execution.address}/32"]}
    made = (
        Node(
            execution,
            {
                **given,
                "stakeyard_node": execution.name,
                "stakeyard_kind": "ethereum_execution",
                "stakeyard_address": execution.address,
                "stakeyard_ports": ports("ethereum_execution", "engine", f"{beacon.address}/32"),
            },
            ("host", "ethereum_execution"),
        ),
        Node(
            beacon,
            {
                **given,
                "stakeyard_node": beacon.name,
                "stakeyard_kind": "ethereum_beacon",
                "stakeyard_address": beacon.address,
                "stakeyard_ports": ports("ethereum_beacon", "beacon-api", NETWORK),
                "stakeyard_uses": [{"name": execution.name, "address": execution.address}],
                "stakeyard_egress": [engine],
            },
            ("host", "ethereum_beacon"),
        ),
    )
    for each in made:
        each.converge()
    begins: int = json.loads((Path(node.variables["ethereum_devnet"]) / "devnet.json").read_text())["genesis_time"]
    time.sleep(max(0.0, begins + 30 - time.time()))  # until then a beacon node does not say how its execution client is
    return made


def test_they_work_apart(apart: tuple[Node, Node]) -> None:
    """The beacon node has no execution client beside it: that one answers is the other host's."""
    for each in apart:
        checks = {check.name: check for check in each.checks()}
        assert [f"{name}: {check.reason}" for name, check in checks.items() if check.outcome == "failed"] == []
    assert checks["ethereum_beacon: its execution client answers"].outcome == "passed"
    for each in apart:
        assert each.converge().changed == 0


# A call of the engine API with a token of the secret that is given; the result, or the HTTP status of a refusal.
CALL = """
import base64, hashlib, hmac, json, sys, time, urllib.error, urllib.request
def coded(data):
    return base64.urlsafe_b64encode(json.dumps(data).encode()).rstrip(b"=")
claim = coded({"alg": "HS256", "typ": "JWT"}) + b"." + coded({"iat": int(time.time())})
sign = base64.urlsafe_b64encode(hmac.digest(bytes.fromhex(sys.argv[2]), claim, hashlib.sha256)).rstrip(b"=")
headers = {"Content-Type": "application/json", "Authorization": f"Bearer {claim.decode()}.{sign.decode()}"}
body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": []}).encode()
try:
    print(json.load(urllib.request.urlopen(urllib.request.Request(sys.argv[1], body, headers), timeout=20))["result"])
except urllib.error.HTTPError as error:
    print(error.code)
"""


def test_the_engine_is_open_to_the_beacon_nodes_host_and_secret_alone(apart: tuple[Node, Node]) -> None:
    execution, beacon = (each.machine for each in apart)
    url = f"http://{execution.address}:8551"
    said = {
        secret: beacon.root(f"python3 - {url} {secret} << 'END'{CALL}END").strip() for secret in (SECRET, "a5" * 32)
    }
    assert list(said.values()) == ["0x7e7e", "401"]
    assert not execution.reaches(8551)
