"""The check that every key votes: all nodes have their time at once, and each that stays silent is named."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from tests.unit.role_checks import Clock, FakeHost, load

checks = load("ethereum_validator", "test_fleet_ethereum_validator")
HOODI, DEVNET = 1920, 360


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


def voting(clock: Clock, seconds: float, *keys: str) -> FakeHost:
    """A node whose keys are seen from so many seconds on."""
    end = clock.now + seconds
    return FakeHost(lambda _: json.dumps({"silent": list(keys) if clock.now < end else [], "slashed": [], "active": 1}))


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
