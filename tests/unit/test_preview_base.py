"""What is in force until a change has been looked at, and what is said where it is not known."""

import re
from pathlib import Path

import pytest
import yaml

from stacks.catalogue import load_catalogue
from stacks.fleet import Fleet
from stacks.paths import REPOSITORY
from stacks.preview import base, checkout
from stacks.preview.base import Base, Known
from stacks.preview.checkout import Checkout
from tests.preview.recorded import HERE, STACK, git, stack_file
from tests.unit.policy_data.cases import fleet

WAIVED = {"policy.waivers": [{"rule": "protected", "reason": "r", "expires": "2099-01-01"}]}
THERE = Base("c", Checkout(Path("/nowhere"), {}, {}))


@pytest.mark.parametrize(
    ("found", "known", "lifted", "expected"),
    [
        (THERE, Known(fleet()), True, fleet()),
        (THERE, Known(), False, fleet({**WAIVED, "policy.waivers": []})),
        (Base("c"), Known(), False, fleet({**WAIVED, "policy.waivers": []})),
        (Base(), Known(), False, None),
        (Base(), Known(), True, fleet({**WAIVED, "throwaway": False})),
    ],
)
def test_what_counts_until_then(found: Base, known: Known, lifted: bool, expected: Fleet | None) -> None:
    assert base.in_force(fleet(WAIVED), found, known, lifted) == expected


def test_a_base_that_cannot_be_compared_with_is_a_warning() -> None:
    (finding,) = base.unreadable(THERE, Known(), "fleet")
    assert (finding.rule, finding.level) == ("base-unreadable", "warning")
    assert base.unreadable(THERE, Known(fleet()), "fleet") == base.unreadable(Base("c"), Known(), "fleet") == ()


def test_the_files_and_keys_that_differ_are_found_and_a_stack_that_is_not_there_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkout, "_image", lambda _directory: {})
    repository = tmp_path / "repository"
    (repository / "stacks").mkdir(parents=True)
    file = repository / stack_file()
    file.write_text((HERE / "base.yaml").read_text())
    (repository / "stacks" / "program.py").write_text("1\n")
    git(repository, "init", "--quiet", "--initial-branch=main")
    git(repository, "add", "--all")
    git(repository, "commit", "--quiet", "--message=Base")

    def find(reference: str | None, stack: str, scratch: str) -> Base:
        return base.find(checkout.read(repository, STACK, tmp_path / "keys"), reference, stack, tmp_path / scratch)

    assert find(None, STACK, "0") == Base()
    found = find("main", STACK, "1")
    assert (found.findings, found.notes, found.directory) == ((), (), tmp_path / "1" / "base")
    (repository / "stacks" / "program.py").write_text("2\n")
    file.write_text(file.read_text() + "encryptionsalt: v1\n")
    found = find("main", STACK, "2")
    assert [each.key for each in found.findings] == ["repository", stack_file()]
    other = find("main", "other", "3")
    assert other.checkout is None
    assert "has no stack other: everything is new." in other.notes[0]
    assert [each.rule for each in other.findings] == ["program-changed"]


@pytest.mark.parametrize("broken", ["config: [", "config: {}\n"])
def test_a_base_whose_file_is_broken_can_still_be_mended(
    broken: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkout, "_image", lambda _directory: {})
    repository = tmp_path / "repository"
    (repository / "stacks").mkdir(parents=True)
    file = repository / stack_file()
    file.write_text(broken)
    git(repository, "init", "--quiet", "--initial-branch=main")
    git(repository, "add", "--all")
    git(repository, "commit", "--quiet", "--message=Base")
    file.write_text((HERE / "base.yaml").read_text())
    found = base.find(checkout.read(repository, STACK, tmp_path / "keys"), "main", STACK, tmp_path / "scratch")
    assert found.checkout is None
    assert re.match(
        r"The stack file of revision \w{12} cannot be read, so everything is shown as new: ", found.notes[0]
    )
    assert "base-unreadable" in [each.rule for each in found.findings]


def test_a_fleet_that_this_revision_cannot_read_is_not_known() -> None:
    config = yaml.safe_load((HERE / "base.yaml").read_text())["config"]
    assert base.known(Base("c", Checkout(REPOSITORY, config, {})), load_catalogue()) == Known(), "its keys are nowhere"
    assert base.known(Base("c"), load_catalogue()) == Known()
