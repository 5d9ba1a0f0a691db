"""What the beacon nodes of the lab's Ethereum stack say, asked on the servers that may ask them."""

import json
import time
from collections.abc import Sequence
from typing import Any

from stacks import remote
from stacks.hosts import host_of
from stacks.rebuild_state import Target, target
from stacks.ssh import session
from stacks.workspace import Workspace

BEACONS = ("eth-1", "eth-2")
ASK = "import sys, urllib.request; print(urllib.request.urlopen('http://127.0.0.1:3500' + sys.argv[1]).read().decode())"


def node(workspace: Workspace, name: str) -> Target:
    """A node as the state has it."""
    exported = workspace.pulumi("stack", "export", capture=True)
    assert exported.returncode == 0, exported.stderr
    return target(json.loads(exported.stdout), name)


def on(workspace: Workspace, name: str, command: str, stdin: str = "") -> str:
    """What a command prints on a node; it must succeed."""
    found = node(workspace, name)
    host = host_of(found.inputs, found.inputs)
    with session([host]) as opened:
        answer = opened.run(host.name, command, stdin=stdin, timeout=300)
    assert answer.returncode == 0, f"{name}: {command}: {answer.stderr[-600:]}"
    return answer.stdout


def beacon(workspace: Workspace, path: str, name: str = BEACONS[0]) -> Any:
    """The `data` of a beacon node's answer, asked on its own server."""
    return json.loads(on(workspace, name, f'python3 -c "{ASK}" {path}'))["data"]


def epoch(workspace: Workspace, slots_per_epoch: int) -> int:
    """The epoch of the head."""
    return int(beacon(workspace, "/eth/v1/node/syncing")["head_slot"]) // slots_per_epoch


def survey(workspace: Workspace, keys: Sequence[str] = (), first: int = 0, last: int | None = None) -> dict[str, Any]:
    """Of all beacon nodes together: slashable pairs, votes, blocks; asked on a validator, which reaches them all."""
    found = node(workspace, "validator-1")
    host = host_of(found.inputs, found.inputs)
    asked = [f"--beacon=http://{used['address']}:3500" for used in found.inputs["signer"]["uses"]]
    asked += [f"--key={key}" for key in keys] + ([f"--last-epoch={last}"] if last is not None else [])
    arguments = ["survey", f"--epoch={first}", *asked]
    with session([host]) as opened:
        answer: dict[str, Any] = remote.ask(
            opened, host.name, "ethereum_validator", "stakeyard_ethereum.remote", arguments
        )
    return answer


def missed(workspace: Workspace, keys: Sequence[str], first: int, last: int) -> int:
    """The most epochs of these that any of the keys did not vote in."""
    found = survey(workspace, keys, first, last)
    assert len(found["voted"]) == len(keys)
    least: int = min(found["voted"].values())
    return last - first + 1 - least


def await_finality(workspace: Workspace, seconds: float) -> int:
    """The finalised epoch, once there is one after genesis; fails after `seconds`."""
    end = time.monotonic() + seconds
    while True:
        found = beacon(workspace, "/eth/v1/beacon/states/head/finality_checkpoints")
        reached: int = int(found["finalized"]["epoch"])
        if reached > 0:
            return reached
        assert time.monotonic() < end, f"no epoch was finalised within {seconds:.0f} s: {found}"
        time.sleep(5)
