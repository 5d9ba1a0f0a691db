"""One stack's life on the lab cloud: made (and killed while being made), looked at, broken, repaired, taken away.

The tests of this file are steps: they run in order, and each stands on the one before.
"""

import base64
import json
import shlex
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import paramiko
import pytest

from stacks import recovery
from stacks.workspace import Workspace
from tests.lab import inventory, pull_requests
from tests.lab.conftest import STACK
from tests.lab.driver import Killer, pulumi
from tests.preview.recorded import apply

pytestmark = pytest.mark.lab

UP = ["up", "--yes", "--skip-preview"]
# In the order in which an update meets them. The telling ones: Pulumi was making a network object, a server, and
# Ansible was at work inside one.
MOMENTS = [
    ("an image is uploaded", r"images:Image .*creating", False),
    ("the network is made", r"networking:Network .*creating", False),
    ("the subnet is made", r"networking:Subnet .*creating", False),
    ("the router gets its interface", r"networking:RouterInterface .*creating", False),
    ("rules are made", r"networking:SecGroupRule .*creating", True),
    ("a volume is made", r"blockstorage:Volume .*creating", False),
    ("a server is made", r"compute:Instance .*creating", True),
    ("a floating address is joined to its port", r"networking:FloatingIpAssociate .*creating", False),
    ("a volume is attached", r"compute:VolumeAttach .*creating", False),
    ("a host is converged", r"host: task \d+/", False),
    ("the client software is installed", r"bitcoin: task \d+/", True),
    ("the fleet is checked", r"FleetChecks .*creating", False),
]


def outputs(workspace: Workspace) -> dict[str, Any]:
    return workspace.outputs()


def state_of(workspace: Workspace) -> str:
    exported = workspace.pulumi("stack", "export", capture=True)
    assert exported.returncode == 0, exported.stderr
    return exported.stdout


def on_node(workspace: Workspace, fleet: dict[str, Any], node: str, command: str) -> str:
    """Run a command on a node as an operator would, with the host key that the stack has pinned."""
    found: Any = outputs(workspace)["nodes"]
    host, key = found[node]["address"], found[node]["host_key"]
    kind, encoded = key.split()[:2]
    with paramiko.SSHClient() as client:
        client.set_missing_host_key_policy(paramiko.RejectPolicy())
        client.get_host_keys().add(host, kind, paramiko.Ed25519Key(data=base64.b64decode(encoded)))
        client.connect(host, username="stakeyard", key_filename=fleet["operators"]["private_key_file"], timeout=20)
        _stdin, stdout, stderr = client.exec_command(command, timeout=120)
        text, errors = stdout.read().decode(), stderr.read().decode()
        assert stdout.channel.recv_exit_status() == 0, errors
        return text


def test_an_update_killed_at_any_moment_can_be_finished(
    workspace: Workspace, cloud: Any, pytestconfig: pytest.Config
) -> None:
    every = pytestconfig.getoption("--all-moments")
    wanted = [(name, pattern) for name, pattern, telling in MOMENTS if telling or every]
    kills = 0
    for name, pattern in wanted:
        killer = Killer(pattern)
        run = pulumi(workspace, UP, killer)
        print(f"--- kill while {name}: {killer.killed_at or 'the moment had passed'}")
        if killer.killed_at is None:
            assert run.status == 0, run.text[-3000:]
            continue
        kills += 1
        recovery.recover(workspace, print)
    run = pulumi(workspace, UP)
    assert run.status == 0, run.text[-3000:]
    assert kills >= (8 if every else 3)


def test_nothing_was_made_twice(workspace: Workspace, cloud: Any) -> None:
    known = recovery.known_ids(json.loads(state_of(workspace)))
    there = inventory.of(cloud, STACK)
    assert {identifier: what for identifier, what in there.items() if identifier not in known} == {}
    servers = {f"server stakeyard-{STACK}-{name}" for name in ("bitcoin-1", "bitcoin-2")}
    assert {what for what in there.values() if what.startswith("server stakeyard")} == servers


@pytest.fixture
def next_image(admin: Any) -> Iterator[None]:
    """An image that one of the pull requests names; nothing ever boots it. The cloud's own, as only those are found."""
    name, public = f"stakeyard-{STACK}-next", {"visibility": "public"}
    _delete_images(admin, name)  # of an earlier run that was killed
    admin.create_image(name, data=b"nothing", disk_format="raw", container_format="bare", wait=True, **public)
    yield
    _delete_images(admin, name)


def _delete_images(cloud: Any, name: str) -> None:
    for image in list(cloud.image.images(name=name)):
        cloud.image.delete_image(image)


@pytest.mark.pull_request
@pytest.mark.usefixtures("next_image")
@pytest.mark.parametrize("asked", pull_requests.load(), ids=lambda asked: asked.name)
def test_a_pull_request_shows_what_it_would_change(
    asked: pull_requests.PullRequest, workspace: Workspace, tmp_path: Path
) -> None:
    directory = pull_requests.repository(tmp_path / "fleet", workspace)
    apply(asked.change, directory, STACK)
    try:
        status, comment = pull_requests.preview(directory, workspace, tmp_path / "out")
    finally:
        workspace.prepare()  # the stack file of this checkout again
    print(comment)
    assert status == asked.exit
    assert [text for text in asked.says if text not in comment] == []
    assert set(asked.changes) <= pull_requests.changed(tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir() if "PLANTED" in path.read_text()] == []


def test_a_second_update_changes_nothing_and_runs_no_ansible(workspace: Workspace) -> None:
    run = pulumi(workspace, [*UP, "--expect-no-changes"])
    assert run.status == 0, run.text[-3000:]
    assert not run.ansible_ran
    print(f"no-op update: {run.seconds:.1f} s")


def test_the_nodes_are_verified_and_follow_one_chain(workspace: Workspace) -> None:
    found = outputs(workspace)
    nodes: Any = found["nodes"]
    assert set(nodes) == {"bitcoin-1", "bitcoin-2"}
    for name, node in nodes.items():
        assert node["checks"], name
        assert [c["name"] for c in node["checks"] if c["outcome"] == "failed"] == []
    fleet_checks: Any = found["fleet_checks"]
    assert fleet_checks["bitcoin"]
    assert [c["name"] for c in fleet_checks["bitcoin"] if c["outcome"] == "failed"] == []


def test_the_rpc_port_is_closed_to_the_operator(workspace: Workspace) -> None:
    nodes: Any = outputs(workspace)["nodes"]
    for node in nodes.values():
        with socket.socket() as probe:
            probe.settimeout(3)
            assert probe.connect_ex((node["address"], 18443)) != 0


def test_the_state_holds_no_secret_of_the_hosts(workspace: Workspace, fleet: dict[str, Any]) -> None:
    state = state_of(workspace)
    assert "PRIVATE KEY" not in state
    files = "/etc/bitcoin/rpcauth.conf /etc/bitcoin/credentials/*.conf"
    lines = on_node(workspace, fleet, "bitcoin-2", f"sudo sh -c 'cat {files}'").splitlines()
    salted = [line.split("$")[-1] for line in lines if line.startswith("rpcauth=")]
    passwords = [line.removeprefix("rpcpassword=") for line in lines if line.startswith("rpcpassword=")]
    assert salted
    assert len(passwords) >= 2
    assert all(value not in state for value in [*salted, *passwords])


def test_a_change_made_by_hand_is_reported_and_repaired(workspace: Workspace, fleet: dict[str, Any]) -> None:
    changed = "/etc/bitcoin/bitcoin.conf"
    on_node(workspace, fleet, "bitcoin-2", f"sudo sh -c {shlex.quote(f'echo maxconnections=9 >> {changed}')}")
    refreshed = pulumi(workspace, ["refresh", "--yes", "--skip-preview"])
    assert refreshed.status == 0, refreshed.text[-3000:]
    resources = json.loads(state_of(workspace))["deployment"]["resources"]
    drift = [line for r in resources if r["type"].endswith(":Convergence") for line in r["outputs"]["drift"]]
    assert f"{changed} was changed" in drift
    repaired = pulumi(workspace, UP)
    assert repaired.status == 0, repaired.text[-3000:]
    assert "maxconnections=9" not in on_node(workspace, fleet, "bitcoin-2", f"sudo cat {changed}")
    assert pulumi(workspace, [*UP, "--expect-no-changes"]).status == 0


def test_destroy_leaves_nothing(workspace: Workspace, cloud: Any) -> None:
    run = pulumi(workspace, ["destroy", "--yes", "--skip-preview"])
    assert run.status == 0, run.text[-3000:]
    assert inventory.of(cloud, STACK) == {}
