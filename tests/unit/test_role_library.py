"""A role's own Python is read once, and is whole for everybody who asks for it."""

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from stacks import role_library
from stacks.errors import StakeyardError


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one role, whose module takes a moment to read."""
    monkeypatch.setattr(role_library, "REPOSITORY", tmp_path)
    (tmp_path / "roles" / "slow").mkdir(parents=True)
    (tmp_path / "roles" / "slow" / "signer.py").write_text("import time\ntime.sleep(0.3)\nlast = 1\n")
    monkeypatch.delitem(sys.modules, "stakeyard_role_slow_signer", raising=False)
    return tmp_path


def test_nodes_that_converge_side_by_side_get_a_whole_module(repository: Path) -> None:
    with ThreadPoolExecutor(max_workers=4) as pool:
        found = list(pool.map(lambda _: role_library.load("slow", "signer").last, range(4)))
    assert found == [1, 1, 1, 1]


def test_a_module_that_fails_is_not_kept(repository: Path) -> None:
    (repository / "roles" / "slow" / "signer.py").write_text("half = 1\nraise ValueError('no')\n")
    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            role_library.load("slow", "signer")


def test_a_role_without_it_is_refused(repository: Path) -> None:
    with pytest.raises(StakeyardError, match=r"other\.py is missing: this checkout is not complete"):
        role_library.load("slow", "other")
