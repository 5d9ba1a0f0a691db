"""The checks run as they are written, whatever the operator's shell says to pytest."""

import os
from pathlib import Path

import pytest

from stacks.ssh import Host, Session
from stacks.verification import environment, run

CHECKS = "def test_one(): pass\ndef test_two(): assert False\n"


@pytest.mark.parametrize(("name", "value"), [("PYTEST_ADDOPTS", "-k one"), ("PYTEST_PLUGINS", "no.such.plugin")])
def test_every_check_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    folder = tmp_path / "roles" / "ledger" / "verify"
    folder.mkdir(parents=True)
    (folder / "test_node.py").write_text(CHECKS)
    opened = Session(tmp_path, (Host("n1", "127.0.0.1", "", "root", "/nonexistent"),))
    found = run(opened, [folder / "test_node.py"], {}, lambda _line: None)
    assert [(check.name[-3:], check.outcome) for check in found] == [("one", "passed"), ("two", "failed")]


def test_settings_of_pytest_and_python_are_left_out_and_all_else_is_passed_on(tmp_path: Path) -> None:
    base = {"PATH": "/bin", "PYTEST_ADDOPTS": "-x", "PYTHONOPTIMIZE": "1", "PYTHONPATH": "/theirs", "HOME": "/root"}
    given = environment(base, tmp_path / "facts.json", 7)
    assert given["PATH"] == "/bin"
    assert given["HOME"] == "/root"
    assert "/theirs" not in given["PYTHONPATH"].split(os.pathsep)
    assert given["STAKEYARD_REPORT_FD"] == "7"
    assert {"PYTEST_ADDOPTS", "PYTHONOPTIMIZE"}.isdisjoint(given)
