"""A key volume that is there proves no history: what counts is which keys are known to have begun on it."""

import json
from pathlib import Path
from typing import Any

import pytest

from stacks import rebuild_plan
from stacks.backup import Snapshot
from stacks.errors import StakeyardError
from stacks.rebuild import Progress, Request, recovery_point
from stacks.signer import Claim, fingerprint
from tests.unit.rebuild_world import KEY, OLD, SEEDED, START, VOLUME, World

EMPTY, MORE = "volume-9", "0x" + "cd" * 48


def emptied(directory: Path, status: str | None = "ACTIVE") -> World:
    """The key volume was lost, `pulumi up` made an empty one in its place, and its keys were not let start there."""
    world = World(directory, status=status)
    world.volumes, world.claims, world.begun = {EMPTY: {OLD} if status else set()}, {EMPTY: Claim(OLD, 1)}, {}
    world.state_volume = world.inputs_volume = EMPTY
    return world


def saved(name: str, taken: float) -> Snapshot:
    return Snapshot(name, "n1", "signer", int(taken), VOLUME, 3, "m", "s" + name, 1)


def read(made: list[Path], ending: str = ".json") -> Any:
    (report,) = [path for path in made if path.suffix == ending]
    return json.loads(report.read_text()) if ending == ".json" else report.read_text()


def test_an_empty_volume_gets_the_backup_as_a_lost_one_does(tmp_path: Path) -> None:
    world = emptied(tmp_path)
    world.repository = [(saved("a", START - 900), b"older"), (saved("b", START - 600), b"newer")]
    made = world.rebuild(fence="delete", accept_older=True)
    world.check()
    assert [(history, accepted) for history, _, accepted in world.restored] == [(b"newer", True)]
    found = read(made)
    assert (found["history"]["how"], found["history"]["backup"]) == ("restored", "b")
    assert 600 <= found["recovery_point_seconds"] < 700
    assert found["seeded"] == SEEDED
    assert "nothing was lost" not in read(made, ".md")
    assert not [line for line in world.said if "nothing is lost" in line]


def test_the_backup_for_an_empty_volume_can_be_chosen(tmp_path: Path) -> None:
    world = emptied(tmp_path, status=None)
    world.repository = [(saved("a", START - 900), b"older"), (saved("b", START - 600), b"newer")]
    with pytest.raises(StakeyardError, match="backup a of n1 is older than b"):
        world.rebuild(restore="a")
    world.rebuild(restore="a", accept_older=True)
    assert [(history, accepted) for history, _, accepted in world.restored] == [(b"older", True)]


@pytest.mark.parametrize("accept_older", [True, False])
def test_without_a_backup_the_operators_word_reaches_the_guards(tmp_path: Path, accept_older: bool) -> None:
    world = emptied(tmp_path, status=None)
    made = world.rebuild(accept_older=accept_older)
    assert [(history, accepted) for history, _, accepted in world.restored] == [(None, accept_older)]
    assert read(made)["recovery_point_seconds"] is None
    assert "the key volume was not known to have a history" in read(made, ".md")


def test_keys_that_are_not_known_on_the_volume_beside_others_are_asked_about(tmp_path: Path) -> None:
    """A key was added, and its convergence refused or failed."""
    world = World(tmp_path, status=None)
    world.keys = [KEY, MORE]
    world.repository = [(saved("a", START - 900), b"history")]
    with pytest.raises(StakeyardError, match="leave --restore away"):
        world.rebuild(restore="a")
    made = world.rebuild(accept_older=True)
    assert [(history, accepted) for history, _, accepted in world.restored] == [(None, True)]
    assert read(made)["recovery_point_seconds"] is None
    assert "some keys were not known" in read(made, ".md")


def test_keys_that_began_in_an_earlier_run_are_not_said_to_have_lost_nothing(tmp_path: Path) -> None:
    world = emptied(tmp_path, status=None)
    world.repository = [(saved("a", START - 900), b"history")]
    world.fails_at_checks = 1
    with pytest.raises(StakeyardError, match="failed"):
        world.rebuild(accept_older=True, restore="a")
    assert world.begun[EMPTY] == {fingerprint(KEY)}
    made = world.rebuild(accept_older=True, restore="a")
    assert len(world.restored) == 1
    assert read(made)["history"]["how"] == "restored"
    assert "from backup a" in read(made, ".md")


def test_a_dry_run_says_the_same(tmp_path: Path) -> None:
    world = emptied(tmp_path)
    world.repository = [(saved("a", START - 900), b"history")]
    steps = {step.phase: step for step in rebuild_plan.plan(Request("lab", "n1", "delete"), Progress(), world)}
    assert "no key is known to have begun on it: restore the history of backup a" in steps["history"].text


@pytest.mark.parametrize(
    ("history", "seconds"),
    [
        ({"how": "kept"}, 0.0),
        ({"how": "restored", "taken": 40}, 60.0),
        ({"how": "fresh"}, None),
        ({"how": "unproven"}, None),
        ({"how": "partly"}, None),
    ],
)
def test_only_a_history_that_came_back_has_a_recovery_point(history: dict[str, Any], seconds: float | None) -> None:
    assert recovery_point(history, 100.0) == seconds
