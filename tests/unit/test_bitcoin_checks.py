"""What the checks of Bitcoin nodes say of nodes that download the chain, follow it, or have stopped doing so."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from tests.unit.role_checks import Clock, FakeHost, load

NOW = 1_800_000_000
fleet = load("bitcoin", "test_fleet_bitcoin")
single = load("bitcoin", "test_node_bitcoin")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Time that the checks of the fleet wait by."""
    found = Clock()
    monkeypatch.setattr(fleet, "time", found)
    return found


def chain(blocks: int, minutes: int, headers: int | None = None, downloads: bool = False) -> dict[str, Any]:
    """The answer to getblockchaininfo of a node whose newest block is so old."""
    return {
        "blocks": blocks,
        "headers": blocks if headers is None else headers,
        "time": NOW - 60 * minutes,
        "initialblockdownload": downloads,
        "verificationprogress": 0.4321,
    }


def node(name: str, network: str = "main", **more: object) -> dict[str, Any]:
    return {"name": name, "address": name, "peers": [], "variables": {"bitcoin_network": network, **more}}


def answering(*chains: Mapping[str, Any]) -> FakeHost:
    """A host that is at one chain after the other, each time it is asked, and stays at the last."""
    left = list(chains)

    def says(command: str) -> str:
        if command.startswith("date"):
            return str(NOW)
        if command.endswith("getblockchaininfo"):
            return json.dumps(left.pop(0) if left[1:] else left[0])
        return f"hash-{left[0]['blocks']}"

    return FakeHost(says)


SYNCED = chain(900_000, 10)
BEHIND = chain(300_000, 4_000_000, headers=900_000, downloads=True)
EMPTY = chain(0, 8_000_000, downloads=True)
STUCK = chain(899_000, 10_000)
Hosts = Mapping[str, FakeHost]
Check = Callable[..., None]
SAME: Check = fleet.test_the_tip_is_the_same_everywhere
RECENT: Check = fleet.test_the_newest_block_is_recent_or_newer_ones_come


def named(nodes: list[dict[str, Any]], *hosts: FakeHost) -> Hosts:
    """The hosts by their nodes' names."""
    return {each["name"]: host for each, host in zip(nodes, hosts, strict=True)}


def outcome(check: Check, *arguments: object) -> tuple[str, str]:
    """How a check ends, and with which reason."""
    try:
        check(*arguments)
    except pytest.skip.Exception as skipped:
        return "skipped", str(skipped)
    except AssertionError as failed:
        return "failed", str(failed)
    return "passed", ""


PAIR = [node("a"), node("b")]
REGTEST = [node("a", "regtest", bitcoin_regtest_mine_seconds=2), node("b", "regtest")]
IDLE = [node("a", "regtest"), node("b", "regtest")]
CASES: Mapping[str, tuple[Check, list[dict[str, Any]], list[FakeHost], str, str]] = {
    "equal tips": (SAME, PAIR, [answering(SYNCED), answering(SYNCED)], "passed", ""),
    "tips that differ": (SAME, PAIR, [answering(SYNCED), answering(STUCK)], "failed", "tips differ"),
    "both download": (
        SAME, PAIR, [answering(BEHIND), answering(EMPTY)], "skipped",
        "still downloading: a (block 300000 of 900000), b (block 0 of 0)",
    ),
    "one downloads": (SAME, PAIR, [answering(SYNCED), answering(BEHIND)], "skipped", "b (block 300000 of 900000)"),
    "one of three downloads": (
        SAME, [*PAIR, node("c")], [answering(SYNCED), answering(SYNCED), answering(BEHIND)], "passed", ""
    ),
    "one of three downloads, and the others differ": (
        SAME, [*PAIR, node("c")], [answering(SYNCED), answering(STUCK), answering(BEHIND)], "failed", "tips differ"
    ),
    "another network is compared all the same": (
        SAME, [*PAIR, node("c", "signet"), node("d", "signet")],
        [answering(BEHIND), answering(BEHIND), answering(SYNCED), answering(STUCK)], "failed", "tips differ",
    ),
    "regtest that Core takes for a download": (
        SAME, REGTEST, [answering(EMPTY), answering({**EMPTY, "blocks": 7})], "failed", "tips differ"
    ),
    "a recent block": (RECENT, PAIR, [answering(SYNCED), answering(SYNCED)], "passed", ""),
    "no newer block": (
        RECENT, PAIR, [answering(SYNCED), answering(STUCK)], "failed",
        "b: block 899000, its newest, is 10000 minutes old and none follows",
    ),
    "a node that catches up": (
        RECENT, PAIR, [answering(SYNCED), answering(STUCK, STUCK, chain(899_010, 9_900, headers=900_000))], "skipped",
        "still getting older blocks: b (block 899010 of 900000)",
    ),
    "a node that has just caught up": (RECENT, PAIR, [answering(SYNCED), answering(STUCK, SYNCED)], "passed", ""),
    "a node that downloads": (
        RECENT, PAIR, [answering(SYNCED), answering(BEHIND)], "skipped", "b (block 300000 of 900000)"
    ),
    "regtest without blocks where a node mines": (
        RECENT, REGTEST, [answering(EMPTY), answering(EMPTY)], "failed", "a: block 0, its newest"
    ),
    "regtest where the first block comes": (
        RECENT, REGTEST, [answering(EMPTY, EMPTY, chain(1, 0)), answering(chain(1, 0))], "passed", ""
    ),
    "regtest where nobody mines": (RECENT, IDLE, [answering(EMPTY), answering(EMPTY)], "passed", ""),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
@pytest.mark.usefixtures("clock")
def test_a_fleets_check_ends(case: str) -> None:
    check, nodes, hosts, wanted, reason = CASES[case]
    found = outcome(check, nodes, named(nodes, *hosts))
    assert found[0] == wanted, found
    assert reason in found[1]


def test_who_downloads_is_not_waited_for(clock: Clock) -> None:
    hosts = named(PAIR, answering(BEHIND), answering(BEHIND))
    assert [outcome(check, PAIR, hosts)[0] for check in (SAME, RECENT)] == ["skipped", "skipped"]
    assert clock.naps == []


@pytest.mark.parametrize(
    ("network", "said", "ends"),
    [
        ("main", BEHIND, ("skipped", "it downloads the chain: block 300000 of 900000, about 43.2% of the work")),
        ("main", SYNCED, ("passed", "")),
        ("regtest", EMPTY, ("passed", "")),
    ],
)
def test_a_single_node_says_how_far_it_is(network: str, said: Mapping[str, Any], ends: tuple[str, str]) -> None:
    assert outcome(single.test_the_chain_is_downloaded, answering(said), network) == ends
