"""Updates that overlap: a registration that is written from what was read is never another update's loss."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from stacks import signer
from stacks.errors import StakeyardError
from stacks.signer import Claim, Registration
from stacks.signer_claim import release, settle, take
from tests.signer.world import EPOCH, World, key

A, B = key("a"), key("b")
UNDER_WAY = "^another update of key volume vol is under way: wait until it is through"


def nothing() -> None:
    """Nobody acts between these two answers."""


def quiet(_line: str) -> None:
    """Nobody reads along."""


def world_with_claim() -> World:
    """Server `old` signs with A on `vol` and is deleted; `vol` is attached to `new`."""
    world = World()
    world.boot("old")
    world.make("vol")
    world.attach("vol", "old")
    assert world.restore("vol", frozenset({A}), {}, None) is None
    assert world.deploy("vol", "old", A) is None
    for _ in range(3):
        world.time += EPOCH
        world.sign()
    world.delete("old")
    world.boot("new")
    world.attach("vol", "new")
    return world


ANSWERS = ["registration", "sleep", "registrations", "server", "volume", "registration again"]


@pytest.mark.parametrize("after", range(1, len(ANSWERS)), ids=ANSWERS[1:])
def test_a_key_that_another_update_adds_meanwhile_stays_registered(after: int) -> None:
    world = world_with_claim()
    done: list[str | None] = []

    def second() -> None:
        assert world.restore("vol", frozenset({B}), {}, None) is None
        done.append(world.deploy("vol", "new", A, B))

    world.interference = [*[nothing] * after, second]
    assert "is under way" in (world.deploy("vol", "new", A) or "")
    assert done == [None]
    assert world.metadata["vol"].keys == world.metadata["vol"].begun == {A, B}
    assert world.metadata["vol"].claim == Claim("new", 2)
    world.boot("third")
    world.make("other")
    world.attach("other", "third")
    assert "registered on volume vol too" in (world.deploy("other", "third", B) or "")


@pytest.mark.parametrize("after", [1, 2])
def test_an_update_that_is_overwritten_refuses(after: int) -> None:
    """The other one has read before this one wrote, and writes afterwards."""
    world = world_with_claim()
    found = world.metadata["vol"]
    world.interference = [*[nothing] * after, lambda: world.register(replace(found, claim=Claim("new", 9)))]
    with pytest.raises(StakeyardError, match=UNDER_WAY):
        take(world, "vol", "new", frozenset({A, B}), quiet)
    assert world.metadata["vol"] == replace(found, claim=Claim("new", 9))


def changed(**how: object) -> Callable[[Registration], Registration]:
    return lambda found: replace(found, **how)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("meanwhile", "left"),
    [
        (changed(), {A}),
        (changed(keys=frozenset({A, B, key("c")})), {A, key("c")}),
        (changed(begun=frozenset({A, B})), {A, B}),
        (changed(claim=Claim("new", 2)), {A, B}),
        (changed(keys=frozenset({A})), {A}),
    ],
    ids=["nothing", "another key", "the key began", "the claim moved", "the key was taken away"],
)
def test_an_undo_takes_away_only_what_this_update_added(
    meanwhile: Callable[[Registration], Registration], left: set[str]
) -> None:
    world = world_with_claim()
    world.make("other")
    world.register(Registration("other", frozenset({B})))
    world.interference = [nothing, nothing, lambda: world.register(meanwhile(world.metadata["vol"]))]
    with pytest.raises(StakeyardError, match="registered on volume other too"):
        take(world, "vol", "new", frozenset({A, B}), quiet)
    assert world.metadata["vol"].keys == left


def test_the_keys_are_registered_before_all_others_are_looked_at() -> None:
    """Else two that look at once see nothing of each other."""
    world = world_with_claim()
    seen: list[frozenset[str]] = []
    world.interference = [nothing, nothing, lambda: seen.append(world.metadata["vol"].keys)]
    take(world, "vol", "new", frozenset({A, B}), quiet)
    assert seen == [{A, B}]


def test_of_two_volumes_at_once_one_sees_the_other() -> None:
    world = world_with_claim()
    world.make("other")
    world.boot("third")
    world.attach("other", "third")
    refused: list[str | None] = []
    world.interference = [nothing, nothing, lambda: refused.append(world.deploy("other", "third", B))]
    assert world.restore("vol", frozenset({B}), {}, None) is None
    assert world.deploy("vol", "new", A, B) is None
    assert "registered on volume vol too" in (refused[0] or "")


def test_a_claim_that_is_held_already_is_looked_at_again() -> None:
    world = world_with_claim()
    assert world.deploy("vol", "new", A) is None
    world.attached["vol"].add("stranger")
    with pytest.raises(StakeyardError, match=r"^key volume vol is attached to server stranger"):
        take(world, "vol", "new", frozenset({A}), quiet)


def test_a_claim_in_the_file_counts_only_where_it_is_newer() -> None:
    world = world_with_claim()
    world.boot("alive")
    assert take(world, "vol", "new", frozenset({A}), quiet, noted=Claim("alive", 1)) == Claim("new", 2)
    with pytest.raises(StakeyardError, match=r"^server alive holds the claim and is ACTIVE"):
        take(world, "vol", "new", frozenset({A}), quiet, noted=Claim("alive", 3))


@pytest.mark.parametrize(
    ("registered", "begun", "keys", "generation"),
    [({A}, {A}, {A}, 4), ({A, B}, {A, B}, {A}, 5), ({A}, {A}, {A, B}, 5), ({A, B}, {A}, {A, B}, 5)],
    ids=["settled", "fewer", "a new one", "one that was not settled"],
)
def test_an_update_that_settles_something_has_a_generation_of_its_own(
    registered: set[str], begun: set[str], keys: set[str], generation: int
) -> None:
    world = world_with_claim()
    world.register(Registration("vol", frozenset(registered), Claim("new", 4), frozenset(begun)))
    assert take(world, "vol", "new", frozenset(keys), quiet) == Claim("new", generation)


def test_an_update_that_ends_late_settles_nothing_of_a_later_one() -> None:
    world = world_with_claim()
    first = take(world, "vol", "new", frozenset({A}), quiet)
    take(world, "vol", "new", frozenset({A, B}), quiet)
    with pytest.raises(StakeyardError, match=r"^another update of key volume vol has begun since"):
        settle(world, "vol", "new", frozenset({A}), generation=first.generation)
    assert world.metadata["vol"].keys == {A, B}


def test_a_release_leaves_the_keys_of_an_update_that_came_before_it() -> None:
    world = world_with_claim()
    take(world, "vol", "new", frozenset({A, B}), quiet)
    release(world, "vol", "new")
    assert world.metadata["vol"].keys == {A, B}
    assert world.metadata["vol"].claim == Claim(None, 2)


def test_the_claim_s_procedure_waits_as_long_as_the_list_may_lag() -> None:
    world = world_with_claim()
    before = world.time
    take(world, "vol", "new", frozenset({A, B}), quiet)
    assert world.time - before >= signer.SETTLE_SECONDS
