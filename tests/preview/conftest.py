"""A repository with the base fleet, made once."""

import os
import shutil
from pathlib import Path

import pytest

from tests.preview import recorded
from tools import build, parts, present


@pytest.fixture(scope="session", autouse=True)
def tools_are_ready() -> None:
    """These tests run the real Pulumi with the real OpenStack plugin; they do not build them."""
    known = parts.load()
    choice = present.choose(known, os.environ, build.home())
    wanting = [name for name in choice.build if not build.built(known[name])]
    if wanting:
        pytest.fail(f"run `make tools` first: {', '.join(wanting)} must be built")


@pytest.fixture(scope="session")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository before any change."""
    target = tmp_path_factory.mktemp("preview") / "fleet"
    recorded.repository(target)
    return target


@pytest.fixture
def fleet(pristine: Path, tmp_path: Path) -> Path:
    """A copy of the repository for one change."""
    target = tmp_path / "fleet"
    shutil.copytree(pristine, target, symlinks=True)
    return target
