"""A lab's name and its directory belong together: a command on another of the two is refused and stops nothing."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from images.lab import cgroups, claim, cleanup, cloud, host, preflight
from images.lab.lab import Lab
from images.lab.settings import Settings, settings
from stacks.errors import StakeyardError

At = Callable[..., Settings]


@pytest.fixture
def at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> At:
    """Makes settings of a lab in a folder below a temporary one; records are kept beside; nothing runs."""
    monkeypatch.setattr(claim, "RECORDS", tmp_path / "run")
    running(monkeypatch, set())

    def make(folder: str, name: str = "lab") -> Settings:
        monkeypatch.setenv("STAKEYARD_LAB", str(tmp_path / folder))
        return settings({"STAKEYARD_LAB_NAME": name})

    return make


def running(monkeypatch: pytest.MonkeyPatch, groups: set[str]) -> None:
    """Control groups that hold a process now."""
    monkeypatch.setattr(cgroups, "processes", lambda name: {1} if name in groups else set())


def up(lab: Settings) -> None:
    """What `lab up` does before it starts anything."""
    with claim.held(lab, make=True):
        pass


@pytest.mark.parametrize("group", ["stakeyard-lab", "stakeyard-lab-work"])
@pytest.mark.parametrize("make", [True, False])
def test_a_running_lab_is_not_reached_from_another_directory(
    at: At, monkeypatch: pytest.MonkeyPatch, group: str, make: bool
) -> None:
    first = at("one")
    up(first)
    running(monkeypatch, {group})
    second = at("two")
    with pytest.raises(StakeyardError, match=f"runs from {first.state}: name that one"), claim.held(second, make):
        pytest.fail("it got in")
    assert not second.state.exists()
    up(first)


def test_a_lab_that_is_down_does_not_block_another_directory(at: At, monkeypatch: pytest.MonkeyPatch) -> None:
    up(at("one"))  # and its machine lost power
    second = at("two")
    up(second)
    running(monkeypatch, {second.cgroup})
    with pytest.raises(StakeyardError, match=f"runs from {second.state}"), claim.held(at("one")):
        pytest.fail("it got in")


def test_a_link_to_the_directory_is_the_same_directory(at: At, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    first = at("one")
    up(first)
    running(monkeypatch, {first.cgroup})
    (tmp_path / "link").symlink_to(first.state)
    up(at("link"))


def test_a_lab_that_runs_without_a_record_is_reached_from_a_lab_s_directory_only(
    at: At, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = at("one")
    lab.state.mkdir()
    (lab.state / "made.json").write_text("{}")
    running(monkeypatch, {lab.cgroup})
    with pytest.raises(StakeyardError, match="runs from another directory"), claim.held(at("absent")):
        pytest.fail("it got in")
    up(lab)
    with pytest.raises(StakeyardError, match=f"runs from {lab.state}"), claim.held(at("absent")):
        pytest.fail("it got in")


@pytest.mark.parametrize("make", [True, False])
def test_a_directory_with_other_things_in_it_is_refused_and_stays(at: At, make: bool) -> None:
    lab = at("home")
    (lab.state / "photos").mkdir(parents=True)
    lab.state.chmod(0o755)
    with pytest.raises(StakeyardError, match="holds other things than a lab"), claim.held(lab, make):
        pytest.fail("it got in")
    assert [path.name for path in lab.state.iterdir()] == ["photos"]
    assert lab.state.stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("file", ["made.json", "base.json", "log/base.log", "log/unpack-base.log"])
def test_a_lab_that_was_made_before_there_were_markers_is_known(at: At, file: str) -> None:
    lab = at("old")
    (lab.state / file).parent.mkdir(parents=True)
    (lab.state / file).write_text("")
    with claim.held(lab):
        assert (lab.state / claim.MARKER).read_text() == "lab"


def test_an_empty_directory_is_taken_and_closed_to_others(at: At) -> None:
    lab = at("new")
    lab.state.mkdir(mode=0o755)
    with claim.held(lab):  # `down` has nothing to stop there and makes no lab of it
        assert list(lab.state.iterdir()) == []
    up(lab)
    assert lab.state.stat().st_mode & 0o777 == 0o700
    up(lab)


def test_a_kill_that_left_the_marker_empty_does_not_block(at: At) -> None:
    lab = at("one")
    lab.state.mkdir()
    (lab.state / claim.MARKER).write_text("")
    up(lab)
    assert (lab.state / claim.MARKER).read_text() == "lab"


def test_a_lab_of_another_name_does_not_get_the_directory(at: At) -> None:
    up(at("one"))
    with pytest.raises(StakeyardError, match="holds the lab `lab` and STAKEYARD_LAB_NAME is `lab2`"):
        up(at("one", "lab2"))


def test_a_file_in_place_of_the_directory_is_refused(at: At) -> None:
    lab = at("file")
    lab.state.write_text("")
    with pytest.raises(StakeyardError, match="cannot be made: File exists"):
        up(lab)
    with pytest.raises(StakeyardError, match="is no directory"), claim.held(lab):
        pytest.fail("it got in")


def test_two_commands_on_one_lab_do_not_meet(at: At) -> None:
    lab = at("one")
    with claim.held(lab, make=True), pytest.raises(StakeyardError, match="works on the lab `lab`"):
        up(lab)
    with claim.held(lab, make=True), pytest.raises(StakeyardError, match="works on the lab `lab`"):
        up(at("two"))
    with claim.held(lab, make=True), pytest.raises(StakeyardError, match=f"works on {lab.state}"):
        up(at("one", "lab2"))


class Ended(Lab):
    """A lab of which nothing runs."""

    def _stop(self) -> None:
        pass


@pytest.fixture
def ended(at: At, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """It leaves the machine as it is."""
    monkeypatch.setattr(host, "gather", lambda _: None)
    monkeypatch.setattr(preflight, "check_system", lambda _: None)
    monkeypatch.setattr(cleanup, "clean", lambda _: None)
    monkeypatch.setattr(cleanup, "leftovers", lambda _: [])
    monkeypatch.setattr(cloud, "withdraw", lambda _: None)
    return Ended(at("one"), lambda _: None)


def test_a_lab_that_is_taken_down_leaves_no_record(ended: Lab, at: At, monkeypatch: pytest.MonkeyPatch) -> None:
    up(ended.settings)
    ended.down()
    running(monkeypatch, {ended.settings.cgroup})  # of whatever lab: this one is gone
    with pytest.raises(StakeyardError, match="runs from another directory"), claim.held(at("two")):
        pytest.fail("it got in")


def test_what_a_lab_left_is_cleaned_up_although_its_directory_is_gone(
    ended: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    up(ended.settings)
    (ended.settings.state / claim.MARKER).unlink()
    ended.settings.state.rmdir()
    running(monkeypatch, {ended.settings.cgroup})
    cleaned: list[Settings] = []
    monkeypatch.setattr(cleanup, "clean", cleaned.append)
    ended.down()
    assert cleaned == [ended.settings]
    assert not ended.settings.state.exists()


def test_nobody_gets_the_lab_while_it_is_being_destroyed(ended: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    up(ended.settings)
    (ended.settings.state / "nodes").mkdir()
    remove, met = claim.remove, []

    def watched(state: Path) -> None:
        with pytest.raises(StakeyardError, match="works on the lab `lab`"):
            up(ended.settings)
        met.append(state)
        remove(state)

    monkeypatch.setattr(claim, "remove", watched)
    ended.destroy(with_cache=False)
    assert met == [ended.settings.state]
    assert not ended.settings.state.exists()


def test_destroying_what_is_no_lab_removes_nothing(ended: Lab) -> None:
    kept = ended.settings.state / "kept"
    kept.mkdir(parents=True)
    with pytest.raises(StakeyardError, match="holds other things than a lab"):
        ended.destroy(with_cache=False)
    assert kept.exists()


def test_a_directory_that_cannot_be_emptied_keeps_its_marker(ended: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    up(ended.settings)
    (ended.settings.state / "nodes").mkdir()
    monkeypatch.setattr(shutil, "rmtree", lambda *_, **__: None)
    with pytest.raises(StakeyardError, match="could not be removed"):
        ended.destroy(with_cache=False)
    assert (ended.settings.state / claim.MARKER).exists()
