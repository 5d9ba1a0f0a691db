"""The role bitcoin on real systemd hosts: converged, checked, upgraded, rolled back, and refused what is forbidden."""

import gzip
import hashlib
import io
import shutil
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from stacks.errors import StakeyardError
from stacks.paths import REPOSITORY, cache
from stacks.runner import RunResult, converge
from stacks.ssh import session
from stacks.verification import check_files, run
from tests.roles.machine import NETWORK, Machine

pytestmark = pytest.mark.host
ROLES = ("host", "bitcoin")
CLI = "/opt/stakeyard/bitcoin/current/bin/bitcoin-cli -conf=/etc/bitcoin/credentials/operator.conf"
CURRENT = "readlink /opt/stakeyard/bitcoin/current"
REGTEST_GENESIS = "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206"


@dataclass(frozen=True)
class Node:
    """A host with what the program would tell it."""

    machine: Machine
    variables: Mapping[str, Any]

    def converge(self, *, check: bool = False, directory: Path = REPOSITORY / "roles", **changes: object) -> RunResult:
        """Apply the roles with these variables changed."""
        variables = {**self.variables, **changes}
        lines: list[str] = []
        return converge(self.machine.ssh, ROLES, variables, lines.append, check=check, directory=directory)

    def facts(self) -> dict[str, Any]:
        """What the program would tell the checks."""
        return {
            "node": self.machine.name,
            "name": self.machine.name,
            "kind": "bitcoin",
            "host": self.machine.address,
            "address": self.machine.address,
            "variables": dict(self.variables),
            "ports": self.variables["stakeyard_ports"],
            "egress": self.variables["stakeyard_egress"],
            "peers": self.variables["stakeyard_peers"],
            "volumes": {},
            "files": yaml.safe_load((REPOSITORY / "roles/bitcoin/node.yml").read_text())["files"],
            "units": ["bitcoind.service"],
        }


def variables(machine: Machine, peer: Machine, **own: object) -> dict[str, Any]:
    """What stacks/variables.py gives a node."""
    return {
        "stakeyard_node": machine.name,
        "stakeyard_kind": "bitcoin",
        "stakeyard_address": machine.address,
        "stakeyard_network_cidr": NETWORK,
        "stakeyard_operator_ranges": [NETWORK],
        "stakeyard_peers": [{"name": peer.name, "address": peer.address}],
        "stakeyard_ports": [
            {"name": "ssh", "protocol": "tcp", "port": 22, "sources": [NETWORK]},
            {"name": "p2p", "protocol": "tcp", "port": 18444, "sources": ["0.0.0.0/0"]},
        ],
        "stakeyard_egress": [{"name": "p2p", "protocol": "tcp", "destinations": ["0.0.0.0/0"]}],
        "bitcoin_network": "regtest",
        **own,
    }


@pytest.fixture(scope="module")
def nodes(make_host: Callable[[str], Machine]) -> Sequence[Node]:
    """Two converged nodes; the first mines."""
    one, two = make_host("bitcoin-1"), make_host("bitcoin-2")
    fleet = (Node(one, variables(one, two, bitcoin_regtest_mine_seconds=2)), Node(two, variables(two, one)))
    for node in fleet:
        node.converge()
    return fleet


@pytest.fixture(scope="module")
def node(nodes: Sequence[Node]) -> Node:
    """The second one, on which upgrades are tried."""
    return nodes[1]


def archive(path: Path, daemon: bytes, name: str = "bitcoin-99.0") -> str:
    """Write an archive whose bitcoind is `daemon`; its digest."""
    with gzip.open(path, "wb") as packed, tarfile.open(fileobj=packed, mode="w") as tar:
        for program in ("bitcoind", "bitcoin-cli"):
            entry = tarfile.TarInfo(f"{name}/bin/{program}")
            entry.size, entry.mode = len(daemon), 0o755
            tar.addfile(entry, io.BytesIO(daemon))
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def other_release(tmp_path: Path) -> Iterator[Callable[[bytes], tuple[Path, Path]]]:
    """A function that pins release 99.0 with this bitcoind in a copy of the roles; that copy and its mirror."""

    def make(daemon: bytes) -> tuple[Path, Path]:
        roles, mirror = tmp_path / "roles", tmp_path / "mirror"
        shutil.copytree(REPOSITORY / "roles", roles)
        mirror.mkdir()
        digest = archive(mirror / "bitcoin-99.0.tar.gz", daemon)
        pins = yaml.safe_load((roles / "bitcoin/artifacts.yml").read_text())
        pins["releases"]["99.0"] = {"archives": {"x86_64": {"file": "bitcoin-99.0.tar.gz", "sha256": digest}}}
        (roles / "bitcoin/artifacts.yml").write_text(yaml.safe_dump(pins))
        return roles, mirror

    yield make
    shutil.rmtree(cache() / "artifacts/bitcoin/99.0-x86_64", ignore_errors=True)


def test_each_node_passes_its_own_checks(nodes: Sequence[Node]) -> None:
    for node in nodes:
        facts = {**node.facts(), "nodes": [node.facts()]}
        checks = run(node.machine.session, check_files(["host", "bitcoin"], "node"), facts, lambda _: None)
        assert [check for check in checks if check.outcome != "passed"] == []
        assert len(checks) >= 25


def test_the_fleet_passes_its_checks(nodes: Sequence[Node]) -> None:
    with session([node.machine.ssh for node in nodes]) as opened:
        facts = {"kind": "bitcoin", "nodes": [node.facts() for node in nodes]}
        checks = run(opened, check_files(["bitcoin"], "fleet"), facts, lambda _: None)
    assert [check for check in checks if check.outcome != "passed"] == []


def test_the_checks_find_a_node_that_is_wrong(node: Node) -> None:
    node.machine.root("chmod 0444 /etc/bitcoin/credentials/monitor.conf")
    facts = {**node.facts(), "nodes": [node.facts()]}
    checks = run(node.machine.session, check_files(["bitcoin"], "node"), facts, lambda _: None)
    assert {check.name for check in checks if check.outcome == "failed"} == {"bitcoin: credentials are for root alone"}
    assert node.converge().changed > 0
    assert node.machine.root("stat -c %a /etc/bitcoin/credentials/monitor.conf").strip() == "400"


def test_a_second_run_changes_nothing(nodes: Sequence[Node]) -> None:
    assert [node.converge().changed for node in nodes] == [0, 0]


def test_a_run_that_was_killed_before_the_restart_is_caught_up(node: Node) -> None:
    pid = "systemctl show -P MainPID bitcoind"
    before = node.machine.root(pid)
    node.machine.root("touch /etc/bitcoin/bitcoin.conf")
    assert node.converge().changed > 0
    after = node.machine.root(pid)
    assert after != before
    assert node.converge().changed == 0
    assert node.machine.root(pid) == after


def test_check_mode_tells_a_change_and_makes_none(node: Node) -> None:
    before = node.machine.root("sha256sum /etc/bitcoin/bitcoin.conf; systemctl show -P MainPID bitcoind")
    assert node.converge(check=True).changed == 0
    assert node.converge(check=True, bitcoin_maxconnections=64).changed > 0
    assert node.machine.root("sha256sum /etc/bitcoin/bitcoin.conf; systemctl show -P MainPID bitcoind") == before


def test_a_broken_release_is_rolled_back(node: Node, other_release: Callable[[bytes], tuple[Path, Path]]) -> None:
    before = node.machine.root(CURRENT)
    roles, mirror = other_release(b"#!/bin/sh\nexit 7\n")
    with pytest.raises(StakeyardError, match=r"99\.0-\w+ did not pass .* 31\.99\.0-\w+ runs again"):
        node.converge(directory=roles, bitcoin_version="99.0", artifact_mirror=str(mirror))
    assert node.machine.root(CURRENT) == before
    assert "31.99.0" in node.machine.root(f"{CLI} getnetworkinfo")
    # Nothing of the failed attempt is in the way of the next run.
    assert node.converge().changed == 0


def test_a_release_on_another_chain_is_rolled_back(
    node: Node, other_release: Callable[[bytes], tuple[Path, Path]]
) -> None:
    """It starts and answers, so that only the health gate can tell."""
    wrong = (
        b'#!/bin/sh\ncase "$*" in\n*getblockhash*) echo 00ff ;;\n*) systemd-notify --ready; exec sleep 600 ;;\nesac\n'
    )
    roles, mirror = other_release(wrong)
    with pytest.raises(StakeyardError, match="block 0 is 00ff: another chain"):
        node.converge(directory=roles, bitcoin_version="99.0", artifact_mirror=str(mirror))
    assert "31.99.0" in node.machine.root(f"{CLI} getnetworkinfo")


def test_a_release_that_is_still_starting_is_left_to_it(
    node: Node, other_release: Callable[[bytes], tuple[Path, Path]]
) -> None:
    """As one that replays blocks: neither killed nor put back, and proven by the run that sees it started."""
    before = node.machine.root(CURRENT).strip()
    daemon = (
        b'#!/bin/sh\ncase "$*" in\n*getblockhash*) echo ' + REGTEST_GENESIS.encode() + b" ;;\n"
        b"*) until test -e /run/replayed; do sleep 1; done; systemd-notify --ready; exec sleep 900 ;;\nesac\n"
    )
    roles, mirror = other_release(daemon)
    new: dict[str, Any] = {"directory": roles, "bitcoin_version": "99.0", "artifact_mirror": str(mirror)}
    state = "systemctl show -P ActiveState -P MainPID bitcoind"
    try:
        with pytest.raises(StakeyardError, match=r"bitcoind\.service is still starting and is not stopped"):
            node.converge(**new, bitcoin_start_seconds=20)
        assert node.machine.root(CURRENT).startswith("99.0-")
        starting = node.machine.root(state)
        assert "activating" in starting
        # Neither the next run nor one that would restart it for a change ends it.
        for connections in (125, 64):
            with pytest.raises(StakeyardError, match=r"bitcoind\.service is still starting and is not stopped"):
                node.converge(**new, bitcoin_start_seconds=5, bitcoin_maxconnections=connections)
            assert node.machine.root(state) == starting
        node.machine.root("touch /run/replayed")
        node.converge(**new)
        assert node.machine.root("ls -A /opt/stakeyard/bitcoin").split().count(".unproven") == 0
    finally:
        node.machine.root("rm -f /run/replayed")
    assert node.converge().changed > 0
    assert node.machine.root(CURRENT).strip() == before
    assert "31.99.0" in node.machine.root(f"{CLI} getnetworkinfo")


def test_a_failure_that_is_not_the_releases_restarts_nothing(
    node: Node, other_release: Callable[[bytes], tuple[Path, Path]]
) -> None:
    """Here a volume that is not attached: the release before runs all the time, and is the installed one again."""
    look = f"{CURRENT}; systemctl show -P MainPID -P NRestarts bitcoind"
    before = node.machine.root(look)
    roles, mirror = other_release(b"#!/bin/sh\nexit 7\n")
    with pytest.raises(
        StakeyardError,
        match=r"99\.0-\w+ was not started and 31\.99\.0-\w+ still runs; reason: .*attach it to this server",
    ):
        node.converge(
            directory=roles,
            bitcoin_version="99.0",
            artifact_mirror=str(mirror),
            stakeyard_volumes={"chain": {"device_id": "11111111-2222-4333-8444-555555555555"}},
        )
    assert node.machine.root(look) == before
    assert node.converge().changed == 0


def test_blocks_that_were_pruned_stay_pruned(node: Node) -> None:
    """On signet's folder, as the node's own blocks must not be moved while it runs."""
    blocks = "/var/lib/bitcoind/signet/blocks"
    look = f"cat /etc/bitcoin/*.conf | sha256sum; {CURRENT}; systemctl show -P MainPID bitcoind"
    node.machine.root(f"mkdir -p {blocks} && touch {blocks}/blk00003.dat")
    before = node.machine.root(look)
    try:
        for check in (True, False):
            with pytest.raises(StakeyardError, match="does not start on it without pruning: give the node an empty"):
                node.converge(check=check, bitcoin_network="signet")
        assert node.machine.root(look) == before
    finally:
        node.machine.root("rm -r /var/lib/bitcoind/signet")


def test_a_broken_release_that_a_killed_run_left_is_rolled_back(
    node: Node, other_release: Callable[[bytes], tuple[Path, Path]]
) -> None:
    """The run before was killed after the switch and before the health gate."""
    roles, mirror = other_release(b"#!/bin/sh\nexit 7\n")
    before = node.machine.root(CURRENT).strip()
    digest = hashlib.sha256((mirror / "bitcoin-99.0.tar.gz").read_bytes()).hexdigest()
    new = f"99.0-{digest[:8]}"
    node.machine.root(
        f"cd /opt/stakeyard/bitcoin && mkdir -p {new}/bin && printf '#!/bin/sh\\nexit 7\\n' > {new}/bin/bitcoind && "
        f"cp {new}/bin/bitcoind {new}/bin/bitcoin-cli && chmod 755 {new}/bin/* && ln -sfn {before} previous && "
        f"printf {new} > .unproven && ln -sfn {new} current"
    )
    with pytest.raises(StakeyardError, match=f"{new} did not pass its health check and {before} runs again"):
        node.converge(directory=roles, bitcoin_version="99.0", artifact_mirror=str(mirror))
    assert node.machine.root(CURRENT).strip() == before
    assert "31.99.0" in node.machine.root(f"{CLI} getnetworkinfo")


def test_a_tampered_archive_never_reaches_the_host(
    node: Node, other_release: Callable[[bytes], tuple[Path, Path]]
) -> None:
    before = node.machine.root(CURRENT)
    listing = "ls /opt/stakeyard/bitcoin /var/tmp"
    there = node.machine.root(listing)
    roles, mirror = other_release(b"#!/bin/sh\nexit 7\n")
    with (mirror / "bitcoin-99.0.tar.gz").open("r+b") as file:
        file.seek(40)
        file.write(b"\0\0\0")
    with pytest.raises(StakeyardError, match=r"has sha256 \w+, artifacts.yml pins \w+"):
        node.converge(directory=roles, bitcoin_version="99.0", artifact_mirror=str(mirror))
    assert node.machine.root(CURRENT) == before
    assert node.machine.root(listing) == there


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        # tests/unit/test_bitcoin_preflight.py tries all of them without a host
        ({"bitcoin_prune": 600, "bitcoin_txindex": True}, "bitcoin_txindex needs all blocks"),
        ({"bitcoin_network": "mainnet"}, "bitcoin_network"),
        ({"bitcoin_version": "latest"}, "is not a pinned version"),
    ],
)
def test_what_is_forbidden_is_refused(node: Node, settings: dict[str, Any], sentence: str) -> None:
    before = node.machine.root(f"cat /etc/bitcoin/*.conf | sha256sum; {CURRENT}; systemctl show -P MainPID bitcoind")
    with pytest.raises(StakeyardError, match=sentence):
        node.converge(**settings)
    after = node.machine.root(f"cat /etc/bitcoin/*.conf | sha256sum; {CURRENT}; systemctl show -P MainPID bitcoind")
    assert after == before
