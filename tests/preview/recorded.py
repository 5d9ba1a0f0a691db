"""Recorded pull requests: a repository with the base fleet, and one change on it."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from stacks.paths import REPOSITORY
from stacks.preview.checkout import PARTS

HERE = Path(__file__).parent / "scenarios"
STACK = "fleet"


def stack_file(stack: str = STACK) -> str:
    """The path of a stack file in a repository."""
    return f"stacks/Pulumi.{stack}.yaml"


@dataclass(frozen=True)
class Scenario:
    """One pull request."""

    name: str
    title: str
    exit: int
    change: Mapping[str, Any]
    """What `apply` takes."""

    @property
    def golden(self) -> Path:
        """The comment as it was when somebody read it and found it right."""
        return HERE / f"{self.name}.md"


@cache
def scenarios() -> tuple[Scenario, ...]:
    """All of them, in the order of their file."""
    data = yaml.safe_load((HERE / "scenarios.yaml").read_text())
    return tuple(Scenario(name, told["title"], told["exit"], told) for name, told in data.items())


def repository(target: Path, stack: str = STACK, source: Path = HERE / "base.yaml") -> None:
    """A git repository with this checkout's program and one stack file, the base fleet's, all in one commit."""
    target.mkdir()
    skip = shutil.ignore_patterns("__pycache__", "*.pyc", "Pulumi.*.yaml")
    for part in PARTS:
        there = REPOSITORY / part
        if there.is_dir():
            shutil.copytree(there, target / part, ignore=skip, symlinks=True)
        else:
            shutil.copy(there, target / part)
    shutil.copy(source, target / stack_file(stack))
    git(target, "init", "--quiet", "--initial-branch=main")
    git(target, "add", "--all")
    git(target, "commit", "--quiet", "--message=Base")


def git(directory: Path, *arguments: str) -> None:
    """Run git with an identity of its own, at a moment of its own."""
    names = {f"GIT_{who}_{what}": "test@example" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    dates = dict.fromkeys(("GIT_AUTHOR_DATE", "GIT_COMMITTER_DATE"), "2026-01-01T00:00:00Z")
    env = {**os.environ, **names, **dates, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    subprocess.run(["git", *arguments], cwd=directory, env=env, check=True)


def apply(change: Mapping[str, Any], directory: Path, stack: str = STACK) -> None:
    """Make a change in the working tree; every part of it must change something."""
    for name, text in change.get("add", {}).items():
        path = directory / name
        path.write_text(path.read_text() + text)
    for name, pairs in change.get("replace", {}).items():
        path = directory / name
        text = path.read_text()
        for old, new in pairs:
            assert old in text, f"{name} does not hold {old!r} any more"
            text = text.replace(old, new, 1)
        path.write_text(text)
    edit(directory / stack_file(stack), change)


def edit(path: Path, change: Mapping[str, Any]) -> None:
    """Set and remove what the change names by path in a stack file, which is written anew only then."""
    if not {"set", "remove"} & change.keys():
        return
    data = yaml.safe_load(path.read_text())
    fleet = data["config"]["stakeyard:fleet"]
    for place, value in change.get("set", {}).items():
        above, last = holder(fleet, place)
        above[last] = value
    for place in change.get("remove", ()):
        above, last = holder(fleet, place)
        del above[last]
    path.write_text(yaml.safe_dump(data, sort_keys=False))


def holder(fleet: dict[str, Any], place: str) -> tuple[dict[str, Any], str]:
    """The mapping that a path's last key is in, and that key."""
    *above, last = place.split(".")
    for key in above:
        fleet = fleet[key]
    return fleet, last
