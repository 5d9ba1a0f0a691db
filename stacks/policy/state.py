"""The policies on the state that an update left: what a preview could not know yet is known there."""

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

from stacks.catalogue import Catalogue
from stacks.errors import StakeyardError
from stacks.exported import exported
from stacks.fleet_models import Fleet
from stacks.policy import gate
from stacks.policy.check import check_resources
from stacks.policy.model import Resource
from stacks.preview.judged import resource
from stacks.workspace import Workspace


def require(workspace: Workspace, fleet: Fleet, catalogue: Catalogue, today: date) -> None:
    """Raise StakeyardError naming what in the stack's state an error of a policy refuses that is not waived."""
    broken = gate.errors(check_resources(fleet, catalogue, resources(exported(workspace)), today))
    if broken:
        told = "\n".join(gate.told(each) for each in broken)
        raise StakeyardError(f"stack {workspace.stack} was updated, and now breaks a policy:\n{told}")


def resources(state: Mapping[str, Any]) -> list[Resource]:
    """What `pulumi stack export` tells of, in the order of their URNs, without what only waits for its deletion."""
    found: Iterable[Mapping[str, Any]] = (state.get("deployment") or {}).get("resources") or ()
    there = sorted(((str(each["urn"]), each) for each in found if not each.get("delete")), key=lambda each: each[0])
    return [resource(urn, each) for urn, each in there]
