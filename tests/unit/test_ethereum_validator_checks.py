"""The check that every key votes: all nodes have their time at once, each that stays silent is named, and only votes of
the client that runs count.
"""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.unit.ethereum_beacon import GENESIS, SECONDS, SLOTS, VALIDATORS, FakeBeacon, served
from tests.unit.role_checks import Clock, FakeHost, load

checks = load("ethereum_validator", "test_fleet_ethereum_validator")
HOODI, DEVNET = 1920, 360
EPOCH = float(SECONDS * SLOTS)


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Time that the check waits by."""
    found = Clock()
    monkeypatch.setattr(checks, "time", found)
    return found


def node(name: str, network: str = "hoodi") -> dict[str, Any]:
    uses = [{"name": "beacon", "address": "192.0.2.1"}]
    variables = {"ethereum_network": network, "stakeyard_signing_keys": ["0xaa"], "stakeyard_uses": uses}
    return {"name": name, "variables": variables}


def shown(live: Mapping[str, Sequence[str]], *keys: str, started: float = GENESIS + 1.0) -> dict[str, Any]:
    """What a node's own server finds out: whom the chain saw in which epoch, and when the client started."""
    active = {key: key for key in keys}
    times = {"started": started, "genesis": GENESIS, "epoch_seconds": EPOCH}
    return {"active": active, "slashed": [], "live": live, **times}


def voting(clock: Clock, seconds: float, *keys: str) -> FakeHost:
    """A node whose keys are seen from so many seconds on."""
    end = clock.now + seconds
    return FakeHost(lambda _: json.dumps(shown({"9": keys if clock.now >= end else (), "8": ()}, *keys)))


def check(nodes: list[dict[str, Any]], hosts: Mapping[str, FakeHost]) -> str:
    """Why the check fails, or nothing."""
    try:
        checks.test_every_active_key_is_seen_voting(nodes, hosts)
    except AssertionError as error:
        return str(error)
    return ""


def test_keys_that_vote_in_time_pass(clock: Clock) -> None:
    assert check([node("a"), node("b")], {"a": voting(clock, 900, "k1"), "b": voting(clock, 1900, "k2")}) == ""
    assert clock.now - 1000 < HOODI


def test_silent_nodes_are_all_named_after_the_time_of_one(clock: Clock) -> None:
    hosts = {name: voting(clock, 1e9, f"{name}1", f"{name}2") for name in ("a", "b", "c")} | {"d": voting(clock, 0)}
    said = check([node(name) for name in hosts], hosts)
    for name in ("a", "b", "c"):
        assert f"{name}: the chain does not see {name}1 and 1 more voting" in said
    assert "d:" not in said
    assert HOODI <= clock.now - 1000 < HOODI + 60


def test_each_network_has_its_own_time(clock: Clock) -> None:
    said = check(
        [node("a", "devnet"), node("b")], {"a": voting(clock, DEVNET + 60, "k1"), "b": voting(clock, 1900, "k2")}
    )
    assert said.startswith("a: the chain does not see k1 voting")
    assert "b:" not in said


# When the client started, and in which epochs (of the head, 9, and the one before) votes of its keys count.
STARTS: Mapping[str, tuple[float, set[int]]] = {
    "long ago": (GENESIS + 2 * EPOCH, {8, 9}),
    "before the genesis": (GENESIS - 100, {8, 9}),
    "at the end of the epoch before both": (GENESIS + 8 * EPOCH - 1, {8, 9}),
    "as the last epoch began": (GENESIS + 8 * EPOCH, {9}),
    "within the last epoch": (GENESIS + 8 * EPOCH + 20, {9}),
    "within this epoch": (GENESIS + 9 * EPOCH + 5, set()),
    "after this epoch, as a head that lags shows it": (GENESIS + 10 * EPOCH + 5, set()),
    "never": (0, set()),
}


@pytest.mark.parametrize("case", STARTS)
@pytest.mark.parametrize("epoch", [8, 9])
def test_a_vote_counts_when_its_epoch_began_after_the_client(case: str, epoch: int) -> None:
    started, counted = STARTS[case]
    found = shown({"9": ["k1"] if epoch == 9 else [], "8": ["k1"] if epoch == 8 else []}, "k1", started=started)
    assert checks.silent_keys(found) == ([] if epoch in counted else ["k1"])


def test_votes_before_the_genesis_epoch_ends_count_for_a_client_that_waited_for_it() -> None:
    assert checks.silent_keys(shown({"0": ["k1"]}, "k1", started=GENESIS - 100)) == []
    assert checks.silent_keys(shown({"0": ["k1"]}, "k1", started=GENESIS + 1)) == ["k1"]


def test_the_signer_before_does_not_stand_in_for_a_new_one_that_is_silent(clock: Clock) -> None:
    """The old server's votes are in the epoch in which its successor started, and in none after it."""
    begun, start = clock.now, GENESIS + 9 * EPOCH + 5

    def says(_: str) -> str:
        epoch = 9 + int((clock.now - begun) // EPOCH)
        return json.dumps(shown({str(n): ["k1"] if n <= 9 else [] for n in (epoch, epoch - 1)}, "k1", started=start))

    assert check([node("a", "devnet")], {"a": FakeHost(says)}) == "a: the chain does not see k1 voting"


def test_long_after_the_start_nobody_waits(clock: Clock) -> None:
    check([node("a")], {"a": FakeHost(lambda _: json.dumps(shown({"9": [], "8": ["k1"]}, "k1")))})
    assert clock.naps == []


SYSTEMCTL = """#!/bin/sh
test "$*" = "show -P ExecMainStartTimestamp --timestamp=unix ethereum-validator.service" && cat "${0%/*}/started"
"""


@pytest.mark.parametrize(("said", "started"), [(f"@{GENESIS + 77}", GENESIS + 77), ("", 0)])
def test_a_server_asks_systemd_and_its_beacon_node(tmp_path: Path, said: str, started: int) -> None:
    (tmp_path / "systemctl").write_text(SYSTEMCTL)
    (tmp_path / "systemctl").chmod(0o755)
    (tmp_path / "started").write_text(f"{said}\n")
    states = {"1": "active_ongoing", "2": "active_exiting", "3": "pending_queued"}
    known = [
        {"index": index, "status": status, "validator": {"pubkey": f"0xa{index}", "slashed": index == "2"}}
        for index, status in states.items()
    ]
    now = {f"/eth/v1/validator/liveness/{epoch}": [{"index": "1", "is_live": epoch == 9}] for epoch in (9, 10)}
    with served(FakeBeacon(pools={VALIDATORS: known, **now})) as url:
        command = [sys.executable, "-c", checks.SCRIPT, url, f"8{'0' * 95}"]
        environment = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == {
        "active": {"1": "0xa1", "2": "0xa2"},
        "slashed": ["0xa2"],
        "live": {"9": ["1"], "10": []},
        "started": started,
        "genesis": GENESIS,
        "epoch_seconds": EPOCH,
    }
