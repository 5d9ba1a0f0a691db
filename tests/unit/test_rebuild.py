"""A rebuild walks through its phases, survives being killed in each, and refuses what is not proven."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stacks import rebuild, rebuild_plan
from stacks.backup import Snapshot
from stacks.errors import StakeyardError
from stacks.rebuild import Progress, Request
from stacks.signer import Claim
from tests.unit.rebuild_world import BOOT_SECONDS, OLD, SEEDED, START, VOLUME, Killed, World


def saved(name: str, taken: float, generation: int = 3) -> Snapshot:
    return Snapshot(name, "n1", "signer", int(taken), VOLUME, generation, "m", "s" + name, 1)


def read(made: list[Path]) -> dict[str, Any]:
    (report,) = [path for path in made if path.suffix == ".json"]
    found: dict[str, Any] = json.loads(report.read_text())
    return found


@pytest.mark.parametrize("signs", [True, False])
@pytest.mark.parametrize(
    ("status", "fence"),
    [(None, None), ("ACTIVE", "stop"), ("ACTIVE", "delete"), ("SHUTOFF", "stop"), ("SHUTOFF", "delete"),
     ("ERROR", "delete"), ("DELETED", None)],
)  # fmt: skip
def test_a_node_comes_back_on_one_new_server(tmp_path: Path, signs: bool, status: str | None, fence: Any) -> None:
    world = World(tmp_path, signs, status)
    if status == "DELETED":
        world.servers, world.volumes = {}, {VOLUME: set()} if signs else {}
    found = read(world.rebuild(fence=fence))
    world.check()
    names = [phase["name"] for phase in found["phases"]]
    assert names == (list(rebuild.PHASES) if signs else ["inspect", "fence", "converge", "verify"])
    assert found["servers"] == {"old": OLD, "new": "server-1"}


def test_a_server_that_runs_is_shut_off_before_it_is_deleted(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.rebuild(fence="delete")
    assert world.acts[:2] == [f"stop {OLD}", f"delete {OLD}"]


def test_a_server_that_cannot_shut_itself_off_is_deleted_where_that_is_allowed(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.obeys = False
    world.rebuild(fence="delete")
    world.check()


@pytest.mark.parametrize("status", ["ACTIVE", "ERROR"])
def test_a_server_that_may_only_be_shut_off_is_never_deleted(tmp_path: Path, status: str) -> None:
    world = World(tmp_path, status=status)
    world.obeys = False
    with pytest.raises(StakeyardError, match=r"still runs\. After 360 s it has not ended: .* --fence delete"):
        world.rebuild(fence="stop")
    assert world.acts == [f"stop {OLD}"]
    assert world.time - START > 300, "a client may take five minutes to stop"


@pytest.mark.parametrize("case", ["signer", "plain", "lost"])
def test_a_server_that_is_to_be_deleted_is_gone_before_anything_else_happens(tmp_path: Path, case: str) -> None:
    world = scene(tmp_path, case, "SHUTOFF")
    if case == "signer":
        world.volumes[VOLUME] = set()  # it is proven that it cannot sign, and yet to be deleted
    world.fails_at_refresh = 1
    with pytest.raises(StakeyardError, match="the cloud is gone"):
        world.rebuild(fence="delete")
    assert world.servers == {}


@pytest.mark.parametrize("signs", [True, False])
def test_a_server_that_the_state_forgot_is_the_one_of_the_last_convergence(tmp_path: Path, signs: bool) -> None:
    world = World(tmp_path, signs)
    world.state_server = None
    with pytest.raises(StakeyardError, match=f"server {OLD} of n1 is ACTIVE, which counts as alive"):
        world.rebuild()
    assert world.acts == []
    assert read(world.rebuild(fence="delete"))["servers"]["old"] == OLD
    assert OLD not in world.servers
    world.check()


@pytest.mark.parametrize("status", ["ACTIVE", "ERROR", "UNKNOWN", "REBOOT", "PAUSED", "SOFT_DELETED"])
@pytest.mark.parametrize("signs", [True, False])
def test_a_server_that_may_be_alive_is_not_touched_without_leave(tmp_path: Path, status: str, signs: bool) -> None:
    world = World(tmp_path, signs, status)
    with pytest.raises(StakeyardError, match=f"{OLD} of n1 is {status}, which counts as alive: .* --fence stop"):
        world.rebuild()
    assert world.acts == []
    world.rebuild(fence="delete")
    world.check()


def test_a_server_in_error_is_not_asked_to_shut_itself_off(tmp_path: Path) -> None:
    world = World(tmp_path, status="ERROR")
    world.rebuild(fence="delete")
    assert world.acts[0] == f"delete {OLD}"


def test_a_server_that_was_revived_between_two_commands_counts_as_alive(tmp_path: Path) -> None:
    world = World(tmp_path, status="ACTIVE")
    world.fails_at_refresh = 1
    with pytest.raises(StakeyardError, match="the cloud is gone"):
        world.rebuild(fence="stop")
    world.servers[OLD] = "ACTIVE"
    with pytest.raises(StakeyardError, match="counts as alive"):
        world.rebuild()
    world.rebuild(fence="stop")
    world.check()


def test_an_update_that_converged_nothing_is_no_success(tmp_path: Path) -> None:
    world = World(tmp_path, signs=False, status=None)
    world.converges = False
    with pytest.raises(StakeyardError, match="its last complete convergence was for another server"):
        world.rebuild()


@pytest.mark.parametrize(
    ("outcomes", "sentence"),
    [
        ([], "no check was run"),
        (["failed"], "check 'c0' failed"),
        (["passed", "skipped", "failed"], "check 'c2' failed"),
    ],
)
def test_checks_that_did_not_pass_are_no_success(tmp_path: Path, outcomes: list[str], sentence: str) -> None:
    world = World(tmp_path, status=None)
    world.checks = [{"name": f"c{number}", "outcome": outcome} for number, outcome in enumerate(outcomes)]
    with pytest.raises(StakeyardError, match=f"n1: {sentence} on the new server"):
        world.rebuild()
    assert world.journal.path.exists()


def test_a_signer_that_is_shut_off_keeps_its_volume_until_the_operator_allows_more(tmp_path: Path) -> None:
    world = World(tmp_path, status="SHUTOFF")
    with pytest.raises(StakeyardError, match="is shut off, but its key volume is still attached"):
        world.rebuild()
    assert world.acts == []


def test_a_claim_of_a_server_that_lives_elsewhere_is_respected_at_once(tmp_path: Path) -> None:
    world = World(tmp_path, status=None)
    world.servers["server-9"] = "ERROR"
    world.claims[VOLUME] = Claim("server-9", 4)
    with pytest.raises(StakeyardError, match="server server-9 holds the claim and is ERROR, which counts as alive"):
        world.rebuild(fence="delete")
    assert world.time < START + 10
    assert world.acts == []


def test_a_key_volume_that_another_server_has_is_left_there(tmp_path: Path) -> None:
    world = World(tmp_path, status=None)
    world.volumes[VOLUME] = {"server-9"}
    with pytest.raises(StakeyardError, match=f"key volume {VOLUME} is attached to server server-9"):
        world.rebuild(fence="delete")
    assert world.time < START + 10, "it waited for another's server"
    assert world.acts == []


def test_an_unknown_node_is_refused(tmp_path: Path) -> None:
    world = World(tmp_path)
    with pytest.raises(StakeyardError, match="the stack has no node n2"):
        rebuild_plan.plan(Request("lab", "n2"), Progress(), world)


def test_a_second_rebuild_at_the_same_time_is_refused(tmp_path: Path) -> None:
    world = World(tmp_path)
    with world.journal.alone(), pytest.raises(StakeyardError, match="another rebuild of n1 is under way"):
        world.rebuild(fence="delete")


# A key volume that is lost.


def lost(directory: Path) -> World:
    world = World(directory, status=None)
    del world.volumes[VOLUME]
    return world


def test_a_lost_volume_is_replaced_by_the_newest_backup(tmp_path: Path) -> None:
    world = lost(tmp_path)
    world.repository = [(saved("a", START - 900), b"older"), (saved("b", START - 600), b"newer")]
    found = read(world.rebuild())
    world.check()
    assert world.restored == [(b"newer", OLD, False)]
    assert found["history"]["backup"] == "b"
    assert 600 <= found["recovery_point_seconds"] < 610
    assert "staged" not in found["history"]


def test_an_older_backup_needs_the_operators_word(tmp_path: Path) -> None:
    world = lost(tmp_path)
    world.repository = [(saved("a", START - 900), b"older"), (saved("b", START - 600), b"newer")]
    with pytest.raises(StakeyardError, match="backup a of n1 is older than b"):
        world.rebuild(restore="a")
    assert world.restored == []
    world.rebuild(restore="a", accept_older=True)
    assert world.restored == [(b"older", OLD, True)]


def test_without_any_backup_the_keys_start_only_with_the_operators_word(tmp_path: Path) -> None:
    world = lost(tmp_path)
    with pytest.raises(StakeyardError, match="is lost and there is no backup of its history"):
        world.rebuild()
    found = read(world.rebuild(accept_older=True))
    assert world.restored == [(None, OLD, True)]
    assert found["recovery_point_seconds"] is None
    assert [each["sentence"][:10] for each in found["refusals"]] == ["key volume"]


def test_a_backup_without_a_history_is_none_for_keys(tmp_path: Path) -> None:
    world = lost(tmp_path)
    world.repository = [(saved("a", START - 900), None)]
    for accepted in (False, True):
        with pytest.raises(StakeyardError, match="backup a of n1 has no history of keys: restore another"):
            world.rebuild(accept_older=accepted)
    assert (world.staged, world.restored, world.replaced) == ({}, [], 0)


def test_no_backup_is_restored_over_a_volume_that_is_there(tmp_path: Path) -> None:
    world = World(tmp_path, status=None)
    world.repository = [(saved("a", START - 900), b"older")]
    with pytest.raises(StakeyardError, match="leave --restore away"):
        world.rebuild(restore="a")


# Killed.

SCENES: list[tuple[str, str | None, Any]] = [
    ("signer", "ACTIVE", "stop"),
    ("signer", "ACTIVE", "delete"),
    ("plain", "ACTIVE", "delete"),
    ("plain", "SHUTOFF", "stop"),
    ("lost", None, None),
]


HARM = re.compile(r"server-[1-9][^;]*(?:delete|detach|shut)|(?:delete|detach|shut)[^;]*server-[1-9]")
"""A dry run's advice against a new server."""


def scene(directory: Path, case: str, status: str | None) -> World:
    world = World(directory, case != "plain", status)
    if case == "lost":
        del world.volumes[VOLUME]
        world.repository = [(saved("a", START - 900), b"history")]
    return world


@pytest.mark.parametrize(("case", "status", "fence"), SCENES)
def test_a_rebuild_that_is_killed_once_at_each_step_ends_well(
    tmp_path: Path, case: str, status: str | None, fence: Any
) -> None:
    whole = scene(tmp_path / "whole", case, status)
    whole.rebuild(fence=fence)
    phases: set[str] = set()
    for half in range(2, 2 * whole.steps + 1):
        world = scene(tmp_path / str(half), case, status)
        with pytest.raises(Killed):
            world.rebuild(half / 2, fence=fence)
        phases.add(world.said[-1].partition(":")[0])
        foreseen = world.plan(fence=fence)
        # What was allowed once has happened or must be allowed again: the second command says it anew.
        assert read(world.rebuild(fence=fence))["runs"] == 2
        world.check()
        assert [step.text for step in foreseen.values() if step.refused] == [], "a refusal that did not come"
        assert not any(harm for step in foreseen.values() for harm in HARM.findall(step.text))
        assert world.replaced <= 2, "a server was made that the first run had made already"
        assert world.orphans == 0
    assert phases == set(rebuild.phases(case != "plain"))


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kills=st.lists(st.integers(2, 80).map(lambda half: half / 2), max_size=4),
    status=st.sampled_from([None, "ACTIVE", "SHUTOFF", "ERROR"]),
    fence=st.sampled_from(["stop", "delete"]),
    case=st.sampled_from(["signer", "plain", "lost"]),
    failing=st.integers(0, 1),
)
def test_a_rebuild_that_is_killed_anywhere_goes_on_and_ends_well(
    tmp_path_factory: pytest.TempPathFactory,
    *,
    kills: list[float],
    status: str | None,
    fence: Any,
    case: str,
    failing: int,
) -> None:
    if status == "ERROR":
        fence = "delete"
    world = scene(tmp_path_factory.mktemp("world"), case, status)
    world.fails_at_checks = failing
    ended = False
    for kill in kills:
        try:
            world.rebuild(kill, fence=fence)
        except (Killed, StakeyardError):
            continue
        ended = True
        break
    if not ended:
        try:
            made = world.rebuild(fence=fence)
        except StakeyardError:
            made = world.rebuild(fence=fence)
        assert read(made)["runs"] <= len(kills) + 2
    world.check()
    assert [entry for entry in world.acts if entry == f"delete {world.state_server}"] == []
    if case == "lost":
        assert set(world.restored) == {(b"history", OLD, False)}


@pytest.mark.parametrize("cut", ["", '{"at": 1, "wh'])
def test_a_journal_that_was_cut_off_is_read_up_to_there(tmp_path: Path, cut: str) -> None:
    world = World(tmp_path)
    with pytest.raises(Killed):
        world.rebuild(8, fence="stop")
    with world.journal.path.open("a") as file:
        file.write(cut)
    world.rebuild(fence="stop")
    world.check()


def test_a_journal_that_nobody_understands_is_not_guessed_at(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.journal.path.write_text("nonsense\n{}\n")
    with pytest.raises(StakeyardError, match="cannot be understood: look at the node by hand"):
        world.rebuild(fence="stop")


def test_a_server_that_failed_its_checks_is_completed_and_not_made_again(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.fails_at_checks = 1
    with pytest.raises(StakeyardError, match="failed"):
        world.rebuild(fence="delete")
    found = read(world.rebuild())
    world.check()
    assert world.replaced == 1
    assert found["runs"] == 2
    assert next(phase for phase in found["phases"] if phase["name"] == "converge")["times"] == 2


def test_what_was_noted_before_the_state_changed_is_asked_again(tmp_path: Path) -> None:
    world = World(tmp_path, status="ERROR")
    with pytest.raises(StakeyardError):
        world.rebuild()
    # Someone else has replaced the server in the meantime, and that one is lost now.
    world.servers = {"server-7": "ACTIVE"}
    world.state_server = world.converged_on = "server-7"
    world.volumes[VOLUME], world.claims[VOLUME] = {"server-7"}, Claim("server-7", 5)
    with pytest.raises(StakeyardError, match="server server-7 of n1 is ACTIVE"):
        world.rebuild()


def test_an_operator_can_give_up_a_rebuild_and_begin_anew(tmp_path: Path) -> None:
    world = World(tmp_path, status=None)
    world.signs_after = 10_000
    with pytest.raises(StakeyardError):
        world.rebuild()
    # The new server is lost as well, before its first duty: this rebuild can only wait for something that never comes.
    world.servers["server-1"] = "ERROR"
    with pytest.raises(StakeyardError, match="no message of its keys"):
        world.rebuild(fence="delete")
    world.signs_after, world.ready_at = 40.0, None
    found = read(world.rebuild(anew=True, fence="delete"))
    world.check()
    assert found["servers"] == {"old": "server-1", "new": "server-2"}
    assert len(list(tmp_path.glob("n1-*-given-up.jsonl"))) == 1


def test_keys_that_are_not_seen_signing_are_no_success(tmp_path: Path) -> None:
    world = World(tmp_path, status=None)
    world.signs_after = 10_000
    with pytest.raises(StakeyardError, match="within 300 s the chain has shown no message of its keys"):
        world.rebuild()
    assert world.journal.path.exists()
    world.signs_after = 0
    world.rebuild()
    world.check()


def test_a_message_of_the_old_server_is_no_duty_of_the_new_one(tmp_path: Path) -> None:
    world = World(tmp_path, status=None)
    found = read(world.rebuild())
    assert found["first_duty"]["signed_at"] > found["evidence"]["at"]


# Dry run.


def test_a_dry_run_says_what_would_be_done_and_touches_nothing(tmp_path: Path) -> None:
    found = World(tmp_path).plan(fence="delete")
    assert list(found) == list(rebuild.PHASES)
    assert not any(step.refused for step in found.values())
    assert f"server {OLD} is ACTIVE: shut it off, then delete it" in found["fence"].text
    assert f"held by {OLD} (generation 3)" in found["fence"].text
    assert "nothing is lost" in found["history"].text
    assert "replace the server" in found["converge"].text


def test_a_dry_run_says_what_would_be_refused(tmp_path: Path) -> None:
    found = World(tmp_path).plan()
    assert found["fence"].refused
    assert "counts as alive" in found["fence"].text
    world = lost(tmp_path)
    assert world.plan()["history"].refused
    world.repository = [(saved("a", START - 900), b"older")]
    text = world.plan()["history"].text
    assert "restore the history of backup a" in text
    assert "the chain is not asked now" in text
    world.repository = []
    assert "the chain is not asked now" in world.plan(accept_older=True)["history"].text
    world = World(tmp_path / "stranger", status=None)
    world.volumes[VOLUME] = {"server-9"}
    assert world.plan(fence="delete")["fence"].refused


def test_a_dry_run_goes_on_with_the_server_that_a_killed_run_made(tmp_path: Path) -> None:
    world = World(tmp_path, status=None)
    world.fails_at_checks = 1
    with pytest.raises(StakeyardError, match="failed"):
        world.rebuild()
    found = world.plan()
    assert not any(step.refused for step in found.values())
    assert "go on with server server-1, which that update made; nothing to do: server server-0" in found["fence"].text
    assert "complete the new server" in found["converge"].text
    # Only the node's own new server is let through.
    world.volumes[VOLUME].add("server-9")
    assert "is attached to server server-9" in world.plan()["fence"].text


def test_a_dry_run_of_a_node_that_does_not_sign_has_no_phase_of_a_signer(tmp_path: Path) -> None:
    assert list(World(tmp_path, signs=False).plan(fence="stop")) == ["inspect", "fence", "converge", "verify"]


# The report.


def test_the_report_has_times_evidence_and_the_ratio(tmp_path: Path) -> None:
    world = World(tmp_path)
    made = world.rebuild(fence="delete")
    found = read(made)
    assert found["bare_boot_seconds"] == BOOT_SECONDS
    assert found["ratio"] == round(found["recovery_seconds"] / BOOT_SECONDS, 2)
    assert found["recovery_point_seconds"] == 0.0
    assert found["evidence"]["status"] == "unknown to the cloud"
    assert found["evidence"]["claim"] == {"server": OLD, "generation": 3}
    assert found["checks"] == {"passed": 1, "skipped": 0}
    assert sum(phase["seconds"] for phase in found["phases"]) >= found["recovery_seconds"] - 1
    (markdown,) = [path.read_text() for path in made if path.suffix == ".md"]
    assert f"Old server {OLD}: unknown to the cloud" in markdown
    assert "nothing was lost" in markdown
    assert f"**{found['recovery_seconds']:g} s**" in markdown
    assert "| fence |" in markdown


def test_the_report_tells_of_refusals_and_of_what_was_restored(tmp_path: Path) -> None:
    world = lost(tmp_path)
    world.servers[OLD] = "ACTIVE"
    world.repository = [(saved("a", START - 900), b"history")]
    with pytest.raises(StakeyardError):
        world.rebuild()
    made = world.rebuild(fence="delete")
    (markdown,) = [path.read_text() for path in made if path.suffix == ".md"]
    assert "Refused on the way:" in markdown
    assert "counts as alive" in markdown
    assert "from backup a; marks raised to what the chain shows" in markdown
    assert "Commands until it was done: 2." in markdown
    started = (
        "2, silent on chain for 3 epochs and 150 s at 2026-01-01T00:00:00+00:00; they start above slot 8, target 2."
    )
    assert f"Keys without their history: {started}" in markdown
    assert read(made)["seeded"] == SEEDED


def test_phases_are_shown_with_what_they_are_for(tmp_path: Path) -> None:
    world = World(tmp_path, status=None)
    world.rebuild()
    for phase, words in rebuild.WORDS.items():
        assert f"{phase}: {words}" in world.said
