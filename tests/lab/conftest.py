"""The lab scenario's own stack: the lab's stack file under another name and in another network."""

import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import openstack
import pytest
import yaml

from stacks.paths import REPOSITORY, lab
from stacks.workspace import Workspace
from tests.lab import inventory

STACK = "scenario"
NETWORK = "10.78.0"


LONG = {"long_drill": "--all-drills", "pull_request": "--all-pull-requests"}
"""Marks of long tests, and the options that ask for them."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--all-moments", action="store_true", help="kill `pulumi up` at every moment, not the telling three"
    )
    parser.addoption(
        "--all-drills",
        action="store_true",
        help="with test_validators.py, as `make test-drills` does: also a server that comes back, keystores copied "
        "by hand, and a lost key volume",
    )
    parser.addoption("--all-pull-requests", action="store_true", help="preview ten pull requests")
    parser.addoption(
        "--keep-stack", action="store_true", help="go on with the validators that are there, and leave them at the end"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is long and not asked for."""
    unasked = [mark for mark, option in LONG.items() if not config.getoption(option)]
    left_out = [item for item in items if any(item.get_closest_marker(mark) for mark in unasked)]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


def scenario_file(directory: Path) -> Path:
    """The lab's stack file in a network of its own, so that the scenario runs beside the operator's lab stack."""
    text = (REPOSITORY / "stacks" / "Pulumi.lab.yaml").read_text()
    path = directory / "stack-file.yaml"
    path.write_text(re.sub(r"\b10\.77\.0\b", NETWORK, text))
    return path


@pytest.fixture(scope="session")
def cloud() -> Any:
    return openstack.connect(cloud="stakeyard-lab")


@pytest.fixture(scope="session")
def admin() -> Iterator[Any]:
    """The lab's administrator, whose entry is only in the lab's state directory."""
    config = openstack.config.OpenStackConfig(config_files=[str(lab() / "admin-clouds.yaml")])
    with closing(openstack.connection.Connection(config=config.get_one(cloud="stakeyard-lab-admin"))) as connection:
        yield connection


@pytest.fixture(scope="session")
def workspace(cloud: Any) -> Iterator[Workspace]:
    """The scenario's stack, with nothing of an earlier run left in the cloud or in the state."""
    state = lab().parent / "scenario"
    inventory.sweep(cloud, STACK)
    for old in [p for p in state.rglob("*") if p.is_file()]:
        old.unlink()
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = Workspace(STACK, state=state, source=scenario_file(state))
    found.prepare()
    yield found
    inventory.sweep(cloud, STACK)


@pytest.fixture(scope="session")
def fleet(workspace: Workspace) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(workspace.stack_file.read_text())["config"]["stakeyard:fleet"]
    return loaded
