"""The policies of stacks/policy on a preview: on the fleet, then on all resources as an update would leave them."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from stacks.catalogue import Catalogue
from stacks.fleet_models import Fleet
from stacks.policy import compared, inputs
from stacks.policy.check import check_fleet, check_resources
from stacks.policy.model import Resource
from stacks.preview.model import Finding
from stacks.preview.steps import Step, steps
from stacks.urns import name_of, type_of


class Judged:
    """A `stacks.preview.seams.Policies`; waivers are judged by the day `today`."""

    def __init__(self, today: date | None = None) -> None:
        """Without a day, that of the preview."""
        self._today = today

    def fleet(self, fleet: Fleet, catalogue: Catalogue, before: Fleet | None) -> Sequence[Finding]:
        """See `Policies`."""
        today = self._today or date.today()
        found = compared.judged(fleet, before, lambda each: check_fleet(each, catalogue, today))
        return (*found, *compared.changes(fleet, before))

    def resources(
        self, fleet: Fleet, catalogue: Catalogue, before: Fleet | None, digest: Mapping[str, Any]
    ) -> Sequence[Finding]:
        """See `Policies`."""
        today, resources = self._today or date.today(), resources_in(digest)
        return compared.judged(fleet, before, lambda each: check_resources(each, catalogue, resources, today))


def resources_in(digest: Mapping[str, Any]) -> list[Resource]:
    """Every resource that `pulumi preview --json` tells of, changed or not, in the order of their URNs."""
    changed = {step.urn: step for step in steps(digest)}
    states: dict[str, Mapping[str, Any]] = {}
    for each in digest.get("steps") or ():
        # Of a replacement, what is to come counts; of what goes, what was there.
        found = each.get("newState") or (states.get(each["urn"]) or each.get("oldState"))
        if found:
            states[each["urn"]] = found
    return [resource(urn, states[urn], changed.get(urn)) for urn in sorted(states)]


def resource(urn: str, state: Mapping[str, Any], step: Step | None = None) -> Resource:
    """What policies see of a resource in a state of Pulumi's; `step` is what would be done to it, if anything."""
    given = state.get("inputs") or {}
    return Resource(
        type=str(state.get("type") or type_of(urn)),
        name=name_of(urn),
        urn=urn,
        inputs=inputs.known(given),
        protect=bool(state.get("protect")),
        operation=step.operation if step else None,
        unknown=inputs.unknown(given),
    )
