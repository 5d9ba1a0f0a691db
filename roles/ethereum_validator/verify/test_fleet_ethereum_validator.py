"""What must hold of all validators together, by the chain's own record: their keys vote, and none has two signers.

A beacon node answers only those who use it, so it is asked from the validators' own servers.
"""

import json
import time
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import testinfra  # type: ignore[import-untyped]
import yaml

ROLE = Path(__file__).resolve().parent.parent
PAUSE = 6
Node = Mapping[str, Any]
# Votes are looked for by the participation that the chain rewards: of whom it says that he was seen in an epoch.
SCRIPT = """
import json, subprocess, sys, urllib.request
url, keys = sys.argv[1], sys.argv[2].split(",")
def ask(path, body=None):
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(url + path, data, {"Content-Type": "application/json"})
    return json.load(urllib.request.urlopen(request, timeout=60))["data"]
show = ["systemctl", "show", "-P", "ExecMainStartTimestamp", "--timestamp=unix", "ethereum-validator.service"]
shown = subprocess.run(show, capture_output=True, text=True, check=True).stdout.strip()
spec = ask("/eth/v1/config/spec")
per_epoch, milliseconds = int(spec["SLOTS_PER_EPOCH"]), spec.get("SLOT_DURATION_MS")
slot_seconds = int(milliseconds) / 1000 if milliseconds else float(spec["SECONDS_PER_SLOT"])
epoch = int(ask("/eth/v1/node/syncing")["head_slot"]) // per_epoch
found = ask("/eth/v1/beacon/states/head/validators", {"ids": ["0x" + key for key in keys]})
active = {e["index"]: e["validator"]["pubkey"] for e in found if e["status"].startswith("active")}
live = {}
for number in (epoch, epoch - 1):
    if active and number >= 0:
        said = ask(f"/eth/v1/validator/liveness/{number}", sorted(active))
        live[number] = [e["index"] for e in said if e["is_live"]]
print(json.dumps({
    "active": active, "live": live, "started": int(shown.lstrip("@") or 0),
    "genesis": int(ask("/eth/v1/beacon/genesis")["genesis_time"]), "epoch_seconds": slot_seconds * per_epoch,
    "slashed": sorted(e["validator"]["pubkey"] for e in found if e["validator"]["slashed"]),
}))
"""


@pytest.fixture(scope="module")
def nodes(facts: Mapping[str, Any]) -> Sequence[Node]:
    """All nodes of the kind."""
    given: Sequence[Node] = facts["nodes"]
    return given


@pytest.fixture(scope="module")
def hosts(facts: Mapping[str, Any], nodes: Sequence[Node]) -> Mapping[str, Any]:
    """A connection to every node."""
    options = {"ssh_config": facts["ssh_config"], "sudo": True}
    return {node["name"]: testinfra.get_host(f"ssh://{node['name']}", **options) for node in nodes}


def keys_of(node: Node) -> set[str]:
    """The public keys of a node."""
    return {key.casefold().removeprefix("0x") for key in node["variables"]["stakeyard_signing_keys"]}


def asked(node: Node, host: Any) -> dict[str, Any]:
    """What the first beacon node that answers says of the node's keys."""
    kind = yaml.safe_load((ROLE / "node.yml").read_text())
    port, said = kind["egress"]["validator-beacon-api"]["port"], "it uses no beacon node"
    for used in node["variables"]["stakeyard_uses"]:
        url = f"http://{used['address']}:{port}"
        answer = host.run("python3 -c %s %s %s", SCRIPT, url, ",".join(sorted(keys_of(node))))
        if answer.succeeded:
            found: dict[str, Any] = json.loads(answer.stdout)
            return found
        said = answer.stderr.strip().splitlines()[-1]
    pytest.fail(f"{node['name']} can ask none of its beacon nodes: {said}")


def silent_keys(found: Mapping[str, Any]) -> list[str]:
    """The active keys that the chain has not seen voting in an epoch that began after their client did.

    In an earlier one it may have seen the signer before, on a server that was replaced. A client that never started
    (0, as systemd has no time) has voted in none.
    """
    first = (found["started"] - found["genesis"]) // found["epoch_seconds"] + 1
    counted = [live for epoch, live in found["live"].items() if found["started"] and int(epoch) >= first]
    seen = {index for live in counted for index in live}
    return sorted(key for index, key in found["active"].items() if index not in seen)


def patience(node: Node) -> float:
    """Seconds until every active key must have been seen: duties come once an epoch."""
    kind = yaml.safe_load((ROLE / "node.yml").read_text())
    network = node["variables"].get("ethereum_network", "mainnet")
    return float(kind["signer"]["duty_seconds"][network])


def test_every_active_key_is_seen_voting(nodes: Sequence[Node], hosts: Mapping[str, Any]) -> None:
    """All nodes have their time at once, not one after the other: stacks/verification.py ends the run at some point."""
    start = time.monotonic()
    waiting, silent = {node["name"]: node for node in nodes}, dict[str, str]()
    while waiting:
        for name, node in list(waiting.items()):
            over = time.monotonic() > start + patience(node)
            found = silent_keys(asked(node, hosts[name]))
            if found and not over:
                continue
            del waiting[name]
            if found:
                silent[name] = f"{found[0]} and {len(found) - 1} more" if found[1:] else found[0]
        if waiting:
            time.sleep(PAUSE)
    said = "; ".join(f"{name}: the chain does not see {keys} voting" for name, keys in sorted(silent.items()))
    assert not silent, said


def test_no_key_was_slashed(nodes: Sequence[Node], hosts: Mapping[str, Any]) -> None:
    for node in nodes:
        assert asked(node, hosts[node["name"]])["slashed"] == [], node["name"]


def test_no_key_has_two_signers(nodes: Sequence[Node], hosts: Mapping[str, Any]) -> None:
    """On the hosts themselves, whatever the stack file says."""
    kind = yaml.safe_load((ROLE / "node.yml").read_text())
    folder = f"{kind['volumes'][kind['signer']['volume']]['mount']}/{kind['signer']['keys']}"
    held = {
        name: {file.removesuffix(".json") for file in host.check_output(f"ls {folder}").split() if ".json" in file}
        for name, host in hosts.items()
    }
    for one, other in combinations(sorted(held), 2):
        assert not held[one] & held[other], f"{one} and {other} both hold {sorted(held[one] & held[other])[0]}"
    for node in nodes:
        assert held[node["name"]] == keys_of(node)
