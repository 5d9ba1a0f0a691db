"""A beacon node that was away for a while must be at the chain's head again; one that downloads the chain need not."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.unit.role_checks import Clock, FakeHost, load

CHECKS = load("ethereum_beacon", "test_node_ethereum_beacon")
NODE = {"ports": {"beacon-api": {"port": 3500}}}


def status(head: int = 9000, distance: int = 1, *flags: str) -> dict[str, Any]:
    words = ("is_syncing", "is_optimistic", "el_offline")
    return {"head_slot": str(head), "sync_distance": str(distance), **{word: word in flags for word in words}}


def host(answers: Iterator[dict[str, Any]], executed: int) -> FakeHost:
    """Answers for the node each time anew, and for the execution client beside it."""

    def says(command: str) -> str:
        if "eth_blockNumber" in command:
            return json.dumps({"result": hex(executed)})
        return json.dumps({"data": next(answers)})

    return FakeHost(says)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(CHECKS, "time", found)
    return found


def forever(answer: dict[str, Any]) -> Iterator[dict[str, Any]]:
    while True:
        yield answer


def test_a_node_at_the_head_is_not_waited_for(clock: Clock) -> None:
    CHECKS.test_a_node_that_was_at_the_head_is_there_again(host(forever(status()), 8000), NODE)
    assert clock.naps == []


def test_one_that_was_away_is_waited_for(clock: Clock) -> None:
    answers = iter([status(9000, 40, "is_syncing"), status(9040, 2, "is_optimistic"), status(9042, 0)])
    CHECKS.test_a_node_that_was_at_the_head_is_there_again(host(answers, 8000), NODE)
    assert clock.naps == [5, 5]


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (status(9000, 40, "is_syncing"), r"^after 900 s it is at slot 9000, 40 behind \(is_syncing\)"),
        (status(9000, 1, "is_optimistic"), r"behind \(is_optimistic\)"),
        (status(9000, 1, "el_offline"), r"behind \(el_offline\)"),
    ],
)
def test_one_that_does_not_come_back_fails(answer: dict[str, Any], sentence: str, clock: Clock) -> None:
    with pytest.raises(AssertionError, match=sentence):
        CHECKS.test_a_node_that_was_at_the_head_is_there_again(host(forever(answer), 8000), NODE)
    assert clock.now >= 1900


@pytest.mark.parametrize(
    ("answer", "executed", "sentence"),
    [
        (status(100, 9000, "is_syncing"), 8000, "it downloads the chain: it is at slot 100, 9000 behind"),
        (status(0, 3, "el_offline"), 0, "it downloads the chain: it is at slot 0"),
        (status(9000, 0, "is_optimistic"), 0, "its execution client downloads the chain"),
    ],
)
def test_one_that_downloads_the_chain_is_left_at_it(
    answer: dict[str, Any], executed: int, sentence: str, clock: Clock
) -> None:
    with pytest.raises(pytest.skip.Exception, match=sentence):
        CHECKS.test_a_node_that_was_at_the_head_is_there_again(host(forever(answer), executed), NODE)
