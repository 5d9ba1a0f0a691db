"""The decisions about evidence, case by case: what counts, and what does not quite."""

from typing import Any

import pytest

from stacks.signer import (
    CLAIM,
    FRESH_SECONDS,
    SEED,
    Claim,
    Claiming,
    Marks,
    Record,
    Seeding,
    ServerView,
    VolumeView,
    covers,
    raised,
    refusal,
)

K = "00000000000000aa"
KEYS = frozenset({K})
NOW = 1000.0
GONE = ServerView("old", None, NOW)
OFF = ServerView("old", "SHUTOFF", NOW)
STALE = ServerView("old", None, NOW - FRESH_SECONDS - 1)


def seeding(**changes: Any) -> Seeding:
    """A current backup whose key was seen a moment ago; its last server is deleted."""
    record = Record(True, {K: {"target": 8}}, {"target": 10}, 0, 5.0)
    known: dict[str, Any] = {
        "keys": KEYS,
        "history": {K: {"target": 8}},
        "marks": {K: {"target": 10}},
        "record": record,
        "holder": GONE,
        "silence_epochs": 2,
        "silence_seconds": 300.0,
        "accept_older": False,
        "now": NOW,
    }
    return Seeding(**{**known, **changes})


def quiet(epochs: int | None, seconds: float | None) -> Record:
    return Record(True, {K: {"target": 8}}, {"target": 10}, epochs, seconds)


@pytest.mark.parametrize(
    ("epochs", "seconds", "silent"),
    [(2, 300.0, True), (2, 299.0, False), (1, 300.0, False), (None, 300.0, False), (2, None, False)],
)
def test_silence_is_of_epochs_and_of_seconds(epochs: int | None, seconds: float | None, silent: bool) -> None:
    """Epochs alone pass quickly on a fast chain, seconds alone on one that stands still."""
    question = seeding(record=quiet(epochs, seconds), holder=None)
    assert question.silent is silent
    assert (refusal(SEED, question) is None) is silent


@pytest.mark.parametrize(
    ("holder", "ended"),
    [(GONE, True), (ServerView("old", "DELETED", NOW), True), (STALE, False), (OFF, False), (None, False)],
    ids=["unknown to the cloud", "deleted", "deleted, as was said long ago", "shut off", "nobody named"],
)
def test_a_signer_has_ended_by_the_cloud_s_word_of_this_moment(holder: ServerView | None, ended: bool) -> None:
    """One that is shut off can be started, and nothing moves its claim with it."""
    question = seeding(holder=holder)
    assert question.ended is ended
    assert (refusal(SEED, question) is None) is ended


@pytest.mark.parametrize(
    ("holder", "record", "taken"),
    [(GONE, quiet(2, 300.0), True), (OFF, quiet(2, 300.0), False), (GONE, quiet(0, 5.0), False)],
    ids=["both", "silence alone", "end alone"],
)
def test_an_older_backup_needs_an_end_and_silence(holder: ServerView, record: Record, taken: bool) -> None:
    sentence = refusal(SEED, seeding(history={K: {"target": 7}}, holder=holder, record=record, accept_older=True))
    assert (sentence is None) is taken
    assert taken or "both must hold" in (sentence or "")


HIGH: dict[str, tuple[Marks, Marks, Marks]] = {
    "the backup": ({"target": 12}, {"target": 8}, {"target": 10}),
    "what was seen": ({"target": 12}, {"target": 12}, {"target": 10}),
    "the present": ({"target": 8}, {"target": 8}, {"target": 12}),
    "what was seen, where the present has no such mark": ({"slot": 5, "target": 12}, {"slot": 5}, {"target": 12}),
}


@pytest.mark.parametrize("case", HIGH)
def test_keys_start_above_whatever_is_known(case: str) -> None:
    known, seen, present = HIGH[case]
    record = Record(True, {K: seen}, present, 0, 5.0)
    marks = raised(KEYS, {K: known}, record)
    assert covers(marks[K], known)
    assert covers(marks[K], seen)
    assert covers(marks[K], present)
    assert refusal(SEED, seeding(history={K: known}, record=record, marks=marks)) is None
    low = {K: {**marks[K], "target": 11}}
    sentence = refusal(SEED, seeding(history={K: known}, record=record, marks=low))
    assert sentence is not None
    assert "would start below" in sentence


def test_what_the_chain_shows_raises_marks_and_needs_raised_ones() -> None:
    """A backup is accepted that is older than what was seen, beyond what this node calls the present."""
    record = Record(True, {K: {"target": 12}}, {"target": 10}, 2, 300.0)
    past = {K: {"target": 7}}
    assert raised(KEYS, past, record) == {K: {"target": 12}}
    question = seeding(history=past, record=record, marks={K: {"target": 11}}, accept_older=True)
    assert "would start below" in (refusal(SEED, question) or "")


@pytest.mark.parametrize(
    ("marks", "others", "covered"),
    [
        ({"target": 5}, {"target": 5}, True),
        ({"target": 4}, {"target": 5}, False),
        ({"target": 5}, {"target": 5, "slot": 0}, False),
        ({}, {"target": 0}, False),
        ({"target": 5}, {}, True),
    ],
)
def test_a_mark_that_is_missing_is_below_every_other(marks: Marks, others: Marks, covered: bool) -> None:
    assert covers(marks, others) is covered


def claiming(**changes: Any) -> Claiming:
    """Server `new` asks for the claim of `old`, which is deleted."""
    known: dict[str, Any] = {
        "server": "new",
        "held": Claim("old", 3),
        "holder": GONE,
        "volume": VolumeView("vol", frozenset({"new"}), NOW),
        "now": NOW,
    }
    return Claiming(**{**known, **changes})


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({}, None),
        ({"holder": STALE}, "older than 60 s"),
        ({"volume": VolumeView("vol", frozenset(), NOW - FRESH_SECONDS - 1)}, "older than 60 s"),
        (
            {"held": Claim("new", 3), "holder": None, "volume": VolumeView("vol", frozenset(), NOW - 61)},
            "older than 60 s",
        ),
        ({"holder": ServerView("another", None, NOW)}, "server old holds the claim and is UNKNOWN"),
        ({"holder": None}, "server old holds the claim and is UNKNOWN"),
        ({"volume": VolumeView("vol", frozenset({"old"}), NOW)}, "is attached to server old"),
    ],
)
def test_a_claim_moves_on_the_word_about_its_own_holder_and_volume(
    changes: dict[str, Any], sentence: str | None
) -> None:
    said = refusal(CLAIM, claiming(**changes))
    assert said is None if sentence is None else sentence in (said or "")
