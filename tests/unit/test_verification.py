"""The checks run as they are written, whatever the operator's shell says to pytest."""

import os
from pathlib import Path

import pytest

from stacks import verification
from stacks.catalogue import load_catalogue
from stacks.errors import StakeyardError
from stacks.ssh import Host, Session
from stacks.verification import environment, limit_seconds, run

CHECKS = "def test_one(): pass\ndef test_two(): assert False\n"


def written(directory: Path, checks: str) -> Path:
    """A file with these checks of a role."""
    folder = directory / "roles" / "ledger" / "verify"
    folder.mkdir(parents=True)
    (folder / "test_node.py").write_text(checks)
    return folder / "test_node.py"


def opened(directory: Path) -> Session:
    """A session with a host that nobody asks."""
    return Session(directory, (Host("n1", "127.0.0.1", "", "root", "/nonexistent"),))


@pytest.mark.parametrize(("name", "value"), [("PYTEST_ADDOPTS", "-k one"), ("PYTEST_PLUGINS", "no.such.plugin")])
def test_every_check_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    found = run(opened(tmp_path), [written(tmp_path, CHECKS)], {}, lambda _line: None)
    assert [(check.name[-3:], check.outcome) for check in found] == [("one", "passed"), ("two", "failed")]


def test_settings_of_pytest_and_python_are_left_out_and_all_else_is_passed_on(tmp_path: Path) -> None:
    base = {"PATH": "/bin", "PYTEST_ADDOPTS": "-x", "PYTHONOPTIMIZE": "1", "PYTHONPATH": "/theirs", "HOME": "/root"}
    given = environment(base, tmp_path / "facts.json", 7)
    assert given["PATH"] == "/bin"
    assert given["HOME"] == "/root"
    assert "/theirs" not in given["PYTHONPATH"].split(os.pathsep)
    assert given["STAKEYARD_REPORT_FD"] == "7"
    assert {"PYTEST_ADDOPTS", "PYTHONOPTIMIZE"}.isdisjoint(given)


def test_a_check_that_is_skipped_says_why_as_it_passes_by(tmp_path: Path) -> None:
    checks = "import pytest\ndef test_one(): pass\ndef test_two(): pytest.skip('block 3 of 9')\n"
    lines: list[str] = []
    found = run(opened(tmp_path), [written(tmp_path, checks)], {}, lines.append)
    assert [check.outcome for check in found] == ["passed", "skipped"]
    assert lines[0].endswith(": one")
    assert "two: skipped: " in lines[1]
    assert lines[1].endswith("block 3 of 9")


def test_checks_that_take_too_long_are_stopped_and_said_to_be(tmp_path: Path) -> None:
    checks = "import time\ndef test_one(): time.sleep(600)\n"
    with pytest.raises(
        StakeyardError, match=r"^n1: the checks were stopped after 0 minutes, and none had ended: see why"
    ):
        run(opened(tmp_path), [written(tmp_path, checks)], {}, lambda _line: None, limit=0.1)


def test_the_limit_is_above_what_a_check_of_the_kind_waits() -> None:
    catalogue = load_catalogue()
    assert limit_seconds(catalogue.kind("bitcoin")) == verification.TIMEOUT_SECONDS
    kind = catalogue.kind("ethereum_validator")
    assert kind.signer is not None
    duties = kind.signer.duty_seconds
    assert isinstance(duties, dict)
    assert limit_seconds(kind) == verification.TIMEOUT_SECONDS + max(duties.values())
