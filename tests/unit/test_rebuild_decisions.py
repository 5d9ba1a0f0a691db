"""What a rebuild takes for proof that an old server has ended, and what for another server in its way."""

import pytest

from stacks import rebuild
from stacks.rebuild import Fencing
from stacks.signer import Claim, ServerView, VolumeView
from tests.unit.rebuild_world import OLD, VOLUME

GUARDED = [
    (Fencing("n1", None), None),
    (Fencing("n1", ServerView(OLD, None, 0)), None),
    (Fencing("n1", ServerView(OLD, "SHUTOFF", 0), VolumeView(VOLUME, frozenset(), 0), Claim(OLD, 1),
             ServerView(OLD, "SHUTOFF", 0)), None),
    (Fencing("n1", ServerView(OLD, "SHUTOFF", 0), VolumeView(VOLUME, frozenset({OLD}), 0)), "is attached to"),
    (Fencing("n1", ServerView(OLD, None, 0), VolumeView(VOLUME, frozenset(), 0), Claim("x", 1)), "x holds the claim"),
    (Fencing("n1", ServerView(OLD, None, 0), VolumeView(VOLUME, frozenset({"x"}), 0), Claim("x", 1), now=1,
             successor="x"), None),
    (Fencing("n1", ServerView(OLD, None, 0), VolumeView(VOLUME, frozenset(), 0), now=1000), "ask again"),
    (Fencing("n1", ServerView(OLD, "ERROR", 0)), "still runs"),
]  # fmt: skip


@pytest.mark.parametrize(("state", "objection"), GUARDED)
def test_only_the_guards_of_a_claim_prove_an_end(state: Fencing, objection: str | None) -> None:
    found = rebuild.proof(state)
    assert (found is None) if objection is None else (objection in str(found))


STRANGERS = [
    (Fencing("n1", None), False),
    (Fencing("n1", ServerView(OLD, "SHUTOFF", 0), VolumeView(VOLUME, frozenset({OLD}), 0)), False),
    (Fencing("n1", None, VolumeView(VOLUME, frozenset({"x"}), 0), successor="x"), False),
    (Fencing("n1", None, VolumeView(VOLUME, frozenset({"x"}), 0)), True),
    (Fencing("n1", None, VolumeView(VOLUME, frozenset({"x", "y"}), 0), successor="x"), True),
    (Fencing("n1", None, VolumeView(VOLUME, frozenset(), 0), Claim("x", 1), ServerView("x", "ACTIVE", 0)), True),
    (Fencing("n1", None, VolumeView(VOLUME, frozenset(), 0), Claim("x", 1), ServerView("x", "SHUTOFF", 0)), False),
]


@pytest.mark.parametrize(("state", "expected"), STRANGERS)
def test_another_server_stands_in_the_way_by_the_claim_or_by_the_volume(state: Fencing, expected: bool) -> None:
    assert rebuild.stranger(state) is expected


@pytest.mark.parametrize(
    ("status", "expected"),
    [(None, True), ("DELETED", True), ("SOFT_DELETED", False), ("SHUTOFF", False), ("ERROR", False)],
)
def test_a_server_that_can_come_back_is_not_gone(status: str | None, expected: bool) -> None:
    state = Fencing("n1", ServerView(OLD, status, 0))
    assert state.gone is expected
    assert (rebuild.proof(state) is None) is (expected or status == "SHUTOFF")
