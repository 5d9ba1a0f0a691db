"""A revision that cannot be put into a folder of its own is one sentence."""

from pathlib import Path

import pytest

from stacks.errors import StakeyardError
from stacks.preview import checkout
from tests.preview.recorded import git


@pytest.mark.parametrize("target", ["/etc/passwd", "../../../outside"])
def test_a_revision_with_a_link_to_outside_says_which_and_what_to_do(target: str, tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    (repository / "roles" / "own").mkdir(parents=True)
    (repository / "roles" / "own" / "link").symlink_to(target)
    git(repository, "init", "--quiet", "--initial-branch=main")
    git(repository, "add", "--all")
    git(repository, "commit", "--quiet", "--message=x")
    commit = checkout.resolve(repository, "main")
    with pytest.raises(StakeyardError) as refused:
        checkout.extract(repository, commit, tmp_path / "base")
    assert str(refused.value) == (
        f"revision {commit[:12]}: roles/own/link leads out of the repository: take it out of there, or name another "
        "revision after --base."
    )


def test_a_revision_that_cannot_be_named_says_why(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    with pytest.raises(StakeyardError, match=r"^--base nope: this repository has no such revision: fetch it first"):
        checkout.resolve(tmp_path, "nope")
    (tmp_path / ".git" / "HEAD").unlink()
    with pytest.raises(StakeyardError, match=r"^--base main: fatal: not a git repository"):
        checkout.resolve(tmp_path, "main")
