"""Pull requests on the scenario's stack, previewed with the lab cloud and its hosts asked."""

import io
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console

from stacks.paths import REPOSITORY
from stacks.preview import command, looked
from stacks.preview.command import Request, run
from stacks.workspace import Workspace
from tests.preview import recorded


@dataclass(frozen=True)
class PullRequest:
    """One change, and what is to be said of it."""

    name: str
    exit: int
    says: tuple[str, ...]
    changes: tuple[str, ...]
    """Types of resources that must be among the nodes' changes: those of the program as the change has it."""
    change: Mapping[str, Any]


def load() -> list[PullRequest]:
    """All of them, in the order of their file."""
    data = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text())
    return [
        PullRequest(name, told["exit"], tuple(told["says"]), tuple(told.get("changes", ())), told)
        for name, told in data.items()
    ]


def repository(target: Path, workspace: Workspace) -> Path:
    """A repository with this checkout's program and the stack's file."""
    recorded.repository(target, workspace.stack, workspace.stack_file)
    (target / ".venv").symlink_to(REPOSITORY / ".venv")
    return target


def preview(directory: Path, workspace: Workspace, out: Path) -> tuple[int, str]:
    """`stakeyard preview --asked` in that repository with the stack's state: exit status, and the comment."""
    shown = io.StringIO()
    with _state(workspace.state):
        status = run(Request(workspace.stack, None, out, mocked=False, repository=directory), Console(file=shown))
    print(shown.getvalue())
    return int(status), (out / "preview.md").read_text()


def changed(out: Path) -> set[str]:
    """The types of resources that would change in nodes, without their packages."""
    nodes = json.loads((out / "preview.json").read_text()).get("nodes", ())
    return {change["type"].rpartition(":")[2] for node in nodes for change in node["changes"]}


@contextmanager
def _state(state: Path) -> Iterator[None]:
    """A stack of the tests has its state elsewhere than an operator's; everything else is the same command."""
    modules: tuple[Any, ...] = (command, looked)
    for module in modules:
        module.Workspace = partial(Workspace, state=state)
    try:
        yield
    finally:
        for module in modules:
            module.Workspace = Workspace
