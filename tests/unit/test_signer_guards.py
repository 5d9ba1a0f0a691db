"""Each guard prevents something that no other does: a story that ends well with all guards, and ill without it."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from stacks import signer
from stacks.errors import StakeyardError
from stacks.signer_claim import take
from tests.signer.parts import gate
from tests.signer.world import EPOCH, DoubleSignError, World, key, without

K, OTHER = key("k"), key("other")


def run_for(world: World, epochs: int) -> None:
    """Let time pass, with every signer at its duties."""
    for _ in range(epochs):
        world.time += EPOCH
        world.sign()


def begun(*, told: str | None = None) -> World:
    """Server `old` signs with key K on volume `vol`."""
    world = World()
    world.boot("old", told)
    world.make("vol", K)
    world.attach("vol", "old")
    assert world.deploy("vol", "old", K) is None
    run_for(world, 3)
    assert world.signed
    return world


def cut_off(world: World) -> None:
    """The hypervisor of `old` is lost to the cloud; an impatient operator detaches its volume by force."""
    world.servers["old"].lost = True
    world.detach("vol", "old")


# The stories. Each gives the toolkit's refusal, or None where it let the signer start.


def two_stacks_with_one_key(world: World) -> str | None:
    world.boot("second")
    world.make("second-vol", K)
    world.attach("second-vol", "second")
    return world.deploy("second-vol", "second", K)


def two_stacks_at_once(world: World) -> str | None:
    """Neither waits, and the cloud's list lags: each looks before it can see the other."""
    fresh = World()
    fresh.impatient, fresh.lag = True, signer.SETTLE_SECONDS - 1
    for name in ("a", "b"):
        fresh.boot(name)
        fresh.make(f"{name}-vol", K)
        fresh.attach(f"{name}-vol", name)
    refused = [fresh.deploy("a-vol", "a", K), fresh.deploy("b-vol", "b", K)]
    run_for(fresh, 3)
    return next((sentence for sentence in refused if sentence), None)


def a_lost_server_whose_volume_was_detached_by_force(world: World) -> str | None:
    cut_off(world)
    world.boot("new")
    world.attach("vol", "new")
    return world.deploy("vol", "new", K)


def an_answer_that_was_true_long_ago(world: World) -> str | None:
    """The server was shut off when it was asked about; then it is started, works for an epoch, and is cut off."""
    world.stop("old")
    world.boot("new")

    def meanwhile() -> None:
        world.start("old")
        run_for(world, 2)
        cut_off(world)
        world.attach("vol", "new")

    def nothing() -> None:
        return

    # Asked are: the registration, to wait, the list, the server; then, before the volume, time passes.
    world.interference = [nothing, nothing, nothing, nothing, meanwhile]
    return world.deploy("vol", "new", K)


def a_volume_that_several_servers_may_attach(world: World) -> str | None:
    """The cloud has forgotten a server on a dead host, but not its attachment."""
    world.servers["old"].status = None
    world.boot("new")
    world.attach("vol", "new", shared=True)
    return world.deploy("vol", "new", K)


REFUSED_BY_THE_CLOUD: dict[tuple[str, str], Callable[[World], str | None]] = {
    ("register", "alone"): two_stacks_with_one_key,
    ("register", "settled"): two_stacks_at_once,
    ("claim", "dead"): a_lost_server_whose_volume_was_detached_by_force,
    ("claim", "fresh"): an_answer_that_was_true_long_ago,
    ("claim", "detached"): a_volume_that_several_servers_may_attach,
}


def a_clone_of_the_volume_in_its_place(world: World) -> str | None:
    """An older copy of the volume is mounted where the volume was."""
    copy = world.make("copy")
    world.disks["vol"].copy_to(copy)
    run_for(world, 2)
    world.stop("old")
    world.detach("vol", "old")
    world.attach("copy", "old")
    world.time -= EPOCH  # within the epoch that was signed already
    world.start("old")
    return world.start_signer("old")


def a_clone_of_the_volume_under_its_own_name(world: World) -> str | None:
    """The same, and the unit was made to name the copy."""
    world.units["old"] = "copy"
    return a_clone_of_the_volume_in_its_place(world)


def a_volume_moved_by_hand(world: World) -> str | None:
    cut_off(world)
    world.boot("new")
    world.units["new"] = "vol"
    world.attach("vol", "new")
    return world.start_signer("new")


def a_server_from_a_copy_of_the_system_disk(world: World) -> str | None:
    cut_off(world)
    world.boot("new", told="old")
    world.attach("vol", "new")
    return world.start_signer("new")


def a_volume_whose_claim_is_gone(world: World) -> str | None:
    """Everything on it was deleted but the keys."""
    cut_off(world)
    world.boot("new", told="new")
    world.units["new"] = "vol"
    world.disks["vol"].claim = None
    world.attach("vol", "new")
    return world.start_signer("new")


def keys_copied_to_another_signer(world: World) -> str | None:
    world.boot("second")
    world.make("second-vol", OTHER)
    world.attach("second-vol", "second")
    assert world.deploy("second-vol", "second", OTHER) is None
    world.disks["second-vol"].keys.add(K)
    world.stop("second")
    world.start("second")
    return world.start_signer("second")


def a_history_that_was_deleted(world: World) -> str | None:
    world.stop("old")
    world.disks["vol"].history = None
    world.time -= EPOCH
    world.start("old")
    return world.start_signer("old")


def a_wallet_that_still_holds_a_key(world: World) -> str | None:
    """Key OTHER has moved to another volume; the wallet here was made before that, and the server boots again."""
    disk = world.disks["vol"]
    disk.wallet, disk.history = {K, OTHER}, {**(disk.history or {}), OTHER: -1}
    world.boot("second")
    world.make("second-vol", OTHER)
    world.attach("second-vol", "second")
    assert world.deploy("second-vol", "second", OTHER) is None
    world.stop("old")
    world.start("old")
    return world.start_signer("old")


def a_wallet_that_was_made_before_the_history(world: World) -> str | None:
    """Key OTHER is new here; it signed elsewhere in this epoch, and the update that would have looked was killed."""
    world.signed[OTHER, int(world.time // EPOCH)] = "an installation before"
    disk = world.disks["vol"]
    disk.wallet, disk.claim = {K, OTHER}, {**(disk.claim or {}), "keys": sorted((K, OTHER))}
    world.stop("old")
    world.start("old")
    refused = world.start_signer("old")
    world.servers["old"].started -= EPOCH
    world.sign()
    return refused


REFUSED_BY_THE_GATE: dict[tuple[str, str], Callable[[World], str | None]] = {
    ("gate", "used"): a_wallet_that_still_holds_a_key,
    ("gate", "known"): a_wallet_that_was_made_before_the_history,
    ("gate", "volume"): a_clone_of_the_volume_in_its_place,
    ("gate", "claim_volume"): a_clone_of_the_volume_under_its_own_name,
    ("gate", "claim"): a_volume_whose_claim_is_gone,
    ("gate", "claim_server"): a_volume_moved_by_hand,
    ("gate", "machine"): a_server_from_a_copy_of_the_system_disk,
    ("gate", "keys"): keys_copied_to_another_signer,
    ("gate", "history"): a_history_that_was_deleted,
}


def lost_volume(world: World, history: int | None, **how: bool) -> str | None:
    """The volume is deleted; a new server is to start from a backup that knows epochs up to `history`."""
    world.attached["vol"].clear()
    world.destroy_volume("vol")
    world.boot("new")
    world.make("new-vol")
    world.attach("new-vol", "new")
    past = {} if history is None else {K: history}
    refused = world.restore("new-vol", frozenset({K}), past, "old", **how)
    return refused or world.deploy("new-vol", "new", K)


def end(world: World) -> None:
    world.delete("old")


def last_signed(world: World) -> int:
    return max(epoch for _key, epoch in world.signed)


def a_backup_while_the_signer_lives(world: World) -> str | None:
    return lost_volume(world, last_signed(world))


def a_node_that_does_not_follow_the_chain(world: World) -> str | None:
    """It shows nothing of the last epochs, so the keys seem silent, and the server is only lost."""
    run_for(world, 60)
    world.synced = False
    return lost_volume(world, last_signed(world))


def a_backup_with_its_own_marks(world: World) -> str | None:
    """The last message of the epoch that is still running reached nobody who is asked, and the signer is quick."""
    end(world)
    world.hidden = {(K, last_signed(world))}
    refused = lost_volume(world, last_signed(world) - 1, raise_marks=False)
    world.servers["new"].started -= EPOCH
    world.sign()
    return refused


REFUSED_AT_A_RESTORE: dict[tuple[str, str], Callable[[World], str | None]] = {
    ("seed", "over"): a_backup_while_the_signer_lives,
    ("seed", "synced"): a_node_that_does_not_follow_the_chain,
    ("seed", "raised"): a_backup_with_its_own_marks,
}

STORIES = {**REFUSED_BY_THE_CLOUD, **REFUSED_BY_THE_GATE, **REFUSED_AT_A_RESTORE}


@pytest.mark.parametrize("guard", STORIES, ids="-".join)
def test_with_every_guard_the_forbidden_thing_is_refused(guard: tuple[str, str]) -> None:
    world = begun()
    assert STORIES[guard](world)
    run_for(world, 4)


@pytest.mark.parametrize("guard", STORIES, ids="-".join)
def test_without_a_guard_a_key_signs_twice(guard: tuple[str, str]) -> None:
    world = begun()
    with without(*guard), pytest.raises(DoubleSignError):  # noqa: PT012 - the story itself may end in it
        STORIES[guard](world)
        run_for(world, 4)


def an_old_backup(world: World, **how: bool) -> str | None:
    return lost_volume(world, last_signed(world) - 2, **how)


def test_an_older_backup_is_refused_until_both_conditions_hold_and_it_is_accepted() -> None:
    world = begun()
    end(world)
    assert "restore a newer backup" in (an_old_backup(world) or "")
    world = begun()
    end(world)
    assert "both must hold" in (an_old_backup(world, accept_older=True) or "")
    world = begun()
    end(world)
    run_for(world, 5)
    assert an_old_backup(world, accept_older=True) is None
    run_for(world, 4)


@pytest.mark.parametrize("guard", ["current", "accepted"])
def test_without_its_guards_an_older_history_would_be_taken(guard: str) -> None:
    world = begun()
    end(world)
    if guard == "current":
        run_for(world, 5)
    with without("seed", guard), pytest.raises(AssertionError, match="an older history was taken"):
        an_old_backup(world, accept_older=guard == "accepted")


def test_every_guard_has_its_story() -> None:
    known = {("gate", name) for name in gate.GUARDS} | {
        (decision, name)
        for decision, guards in (("register", signer.REGISTER), ("claim", signer.CLAIM), ("seed", signer.SEED))
        for name in guards
    }
    assert set(STORIES) | {("seed", "current"), ("seed", "accepted")} == known


def moved_while_its_signer_lives(world: World, *, forgotten: bool = False) -> str | None:
    """The operator moves K to another volume; its signer is cut off from the chain, so nobody sees it."""
    world.hidden = set(world.signed)
    world.boot("second")
    world.make("second-vol")
    world.attach("second-vol", "second")
    refused = world.deploy("vol", "old", OTHER)
    assert refused is not None
    assert "holds" in refused
    if forgotten:
        world.register(replace(world.metadata["vol"], keys=frozenset({OTHER})))
    return world.deploy("second-vol", "second", K)


def test_a_key_stays_registered_until_its_signer_runs_without_it() -> None:
    world = begun()
    assert "registered on volume vol too" in (moved_while_its_signer_lives(world) or "")
    run_for(world, 2)
    world.disks["vol"].keys.discard(K)
    assert world.deploy("vol", "old", OTHER) is None
    assert world.deploy("second-vol", "second", K) is None
    run_for(world, 4)


def test_a_toolkit_that_forgot_it_at_once_would_let_it_sign_twice() -> None:
    world = begun()
    with pytest.raises(DoubleSignError):  # noqa: PT012 - the story itself may end in it
        moved_while_its_signer_lives(world, forgotten=True)
        run_for(world, 4)


def test_a_key_that_comes_back_to_a_volume_has_not_begun_there() -> None:
    world = begun()
    world.disks["vol"].keys.discard(K)
    assert world.deploy("vol", "old", OTHER) is None
    assert world.metadata["vol"].begun == {OTHER}
    world.disks["vol"].keys.discard(OTHER)
    assert world.deploy("vol", "old", K) is None
    assert (world.disks["vol"].claim or {})["begun"] == [K]


def test_a_claim_that_the_cloud_has_forgotten_counts_by_its_file() -> None:
    world = begun()
    del world.metadata["vol"]
    noted = signer.Claim("old", 7)
    world.boot("new")
    world.writes.clear()
    with pytest.raises(StakeyardError, match="server old holds the claim and is ACTIVE"):
        take(world, "vol", "new", frozenset({K}), lambda _line: None, noted=noted)
    assert take(world, "vol", "old", frozenset({K}), lambda _line: None, noted=noted) == signer.Claim("old", 8)


@pytest.mark.parametrize(("target", "accept", "taken"), [(9, False, True), (8, False, False), (8, True, True)])
def test_a_backup_from_before_what_was_asked_about_is_an_old_one(target: int, accept: bool, taken: bool) -> None:
    """The chain showed nothing of the key since epoch 10; a message of epoch 9 would have been in its blocks."""
    record = signer.Record(True, {}, {"target": 20}, reach={"target": 9})
    history = {K: {"target": target}}
    gone = signer.ServerView("old", None, 0.0)
    question = signer.Seeding(
        frozenset({K}), history, signer.raised(frozenset({K}), history, record), record, gone, 2, 100.0, accept, 0.0
    )
    assert (signer.refusal(signer.SEED, question) is None) == taken
