"""Puts the look inside hosts together: what is deployed from the state, what is to come from the stack file."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from stacks import variables
from stacks.catalogue import Catalogue
from stacks.exported import exported
from stacks.fleet import Fleet
from stacks.preview.encrypted import decrypted
from stacks.preview.hosts import RealHosts
from stacks.preview.inside import Folders, Hosts, Subject, look
from stacks.preview.model import Inside
from stacks.rebuild_command import plain
from stacks.rebuild_state import target
from stacks.workspace import Workspace


class Asked(Protocol):
    """What a preview knows when it asks for a look."""

    @property
    def stack(self) -> str:
        """Name of the stack."""

    @property
    def cloud(self) -> str:
        """`mocked`: there is no state and no host to look at."""

    @property
    def fleet(self) -> Fleet:
        """What is to come; encrypted values may be placeholders."""

    @property
    def catalogue(self) -> Catalogue:
        """The kinds as they are to come."""

    @property
    def steps(self) -> Mapping[str, Any]:
        """The nodes whose software would change, each with the `operation` on it and its `old_inputs`."""

    @property
    def head(self) -> Path:
        """The repository's files as they are to come."""

    @property
    def base(self) -> Path | None:
        """Those of the base revision."""

    @property
    def base_fleet(self) -> Fleet | None:
        """What the base revision has."""


def _with_secrets(workspace: Workspace) -> Mapping[str, Any]:
    return exported(workspace, secrets=True)


def look_at(
    asked: Asked,
    say: Callable[[str], None] = lambda _text: None,
    state: Callable[[Workspace], Mapping[str, Any]] = _with_secrets,
    way: Callable[[Asked], Hosts] | None = None,
) -> dict[str, Inside]:
    """What would change inside the nodes of `asked.steps`. Raises StakeyardError where the state cannot be read.

    `state` and `way` are how state and hosts are reached; tests give others.
    """
    folders = Folders(asked.head / "roles", asked.base / "roles" if asked.base else None)
    if asked.cloud == "mocked":
        return look([_mocked(asked, name, folders) for name in asked.steps], folders, None, say)
    workspace = Workspace(asked.stack, asked.head)
    # With placeholders for encrypted values, check mode would show changes that nobody makes.
    encrypted = decrypted(workspace, asked.catalogue)
    fleet = encrypted or asked.fleet
    deployment = state(workspace)
    subjects = []
    for name in asked.steps:
        plan = variables.plan(name, fleet.nodes[name], fleet, asked.catalogue, folders.head)
        inputs = plain(target(deployment, name).inputs)
        secret = frozenset(plan.hidden(encrypted is not None))
        roles, anew = asked.catalogue.kind(plan.kind).role_names, _anew(asked, name)
        subjects.append(Subject(plan, roles, inputs, secret=secret, replaced=anew))
    hosts = way(asked) if way else RealHosts(folders.head, str(fleet.operators.private_key_file))
    return look(subjects, folders, hosts, say)


def _mocked(asked: Asked, name: str, folders: Folders) -> Subject:
    """Compared with what the base revision's program declared, or, where that hides secrets, with its stack file."""
    node = asked.fleet.nodes[name]
    plan = variables.plan(name, node, asked.fleet, asked.catalogue, folders.head)
    declared = asked.steps[name].old_inputs
    known = declared if isinstance(declared.get("variables"), Mapping) else None
    base = asked.base_fleet.nodes.get(name) if asked.base_fleet else None
    before = None
    if base and asked.base_fleet and folders.base:
        before = variables.plan(name, base, asked.base_fleet, asked.catalogue, folders.base)
    roles = asked.catalogue.kind(plan.kind).role_names
    return Subject(plan, roles, known, base=before, replaced=_anew(asked, name))


def _anew(asked: Asked, name: str) -> bool:
    return bool(asked.steps[name].operation == "replace")
