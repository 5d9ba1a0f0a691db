"""The policies on the state that an update left: what a preview could not know yet is known there."""

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

from stacks.catalogue import Catalogue
from stacks.errors import StakeyardError
from stacks.exported import exported
from stacks.fleet import load_stack_file
from stacks.policy import gate, inputs
from stacks.policy.check import check_resources
from stacks.policy.model import Resource
from stacks.preview.steps import name_of
from stacks.workspace import Workspace


def require(workspace: Workspace, catalogue: Catalogue, today: date) -> None:
    """Raise StakeyardError naming what in the stack's state an error of a policy refuses that is not waived."""
    fleet = load_stack_file(workspace.stack_file, catalogue)
    broken = gate.errors(check_resources(fleet, catalogue, resources(exported(workspace)), today))
    if broken:
        told = "\n".join(gate.told(each) for each in broken)
        raise StakeyardError(f"stack {workspace.stack} was updated, and now breaks a policy:\n{told}")


def resources(state: Mapping[str, Any]) -> list[Resource]:
    """What `pulumi stack export` tells of, in the order of their URNs, without what only waits for its deletion."""
    found: Iterable[Mapping[str, Any]] = (state.get("deployment") or {}).get("resources") or ()
    return [
        Resource(
            type=str(each["type"]),
            name=name_of(each["urn"]),
            urn=str(each["urn"]),
            inputs=inputs.known(each.get("inputs") or {}),
            protect=bool(each.get("protect")),
        )
        for each in sorted(found, key=lambda each: str(each["urn"]))
        if not each.get("delete")
    ]
