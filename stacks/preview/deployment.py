"""A state, in the form that `pulumi stack import` takes, in which a program's resources are there as declared."""

from collections.abc import Iterable, Mapping, Set
from typing import Any

from dryrun.answers import made_up

_MOMENT = "2020-01-01T00:00:00Z"
_SCHEMA = 3
"""Pulumi's version of this form."""


def deployment(resources: Iterable[Mapping[str, Any]], unchanged: Set[str] = frozenset()) -> dict[str, Any]:
    """The state of what dryrun/base.py found, with the providers that an engine adds by itself.

    Of what is `unchanged` (URNs) only parents and providers are in it: no change can come from the rest of it.
    """
    states: list[dict[str, Any]] = []
    defaults: dict[str, str] = {}
    for resource in resources:
        if resource["urn"] in unchanged and not stands(resource):
            continue
        provider = str(resource["provider"])
        kind = str(resource["type"])
        if resource["custom"] and not provider and not kind.startswith("pulumi:providers:"):
            package = kind.partition(":")[0]
            if package not in defaults:
                default = _default_provider(str(resource["urn"]), package)
                defaults[package] = f"{default['urn']}::{default['id']}"
                states.append(default)
            provider = defaults[package]
        states.append(_state(resource, provider, unchanged))
    manifest = {"time": _MOMENT, "magic": "", "version": ""}
    return {"version": _SCHEMA, "deployment": {"manifest": manifest, "resources": states}}


def _default_provider(urn: str, package: str) -> dict[str, Any]:
    stack, project = urn.removeprefix("urn:pulumi:").split("::")[:2]
    kind = f"pulumi:providers:{package}"
    own = f"urn:pulumi:{stack}::{project}::{kind}::default"
    return {"urn": own, "custom": True, "type": kind, "id": made_up(own), "inputs": {}, "outputs": {}}


def stands(resource: Mapping[str, Any]) -> bool:
    """Whether others may stand on the resource: a parent or a provider."""
    return not resource["custom"] or str(resource["type"]).startswith("pulumi:providers:")


def _state(resource: Mapping[str, Any], provider: str, unchanged: Set[str]) -> dict[str, Any]:
    by_property = {key: _known(urns, unchanged) for key, urns in resource["propertyDependencies"].items()}
    state = {
        "urn": resource["urn"],
        "custom": resource["custom"],
        "type": resource["type"],
        "inputs": resource["inputs"],
        "outputs": resource["outputs"],
    }
    optional = {
        "id": resource["id"],
        "parent": resource["parent"],
        "provider": provider,
        "protect": resource["protect"],
        "dependencies": _known(resource["dependencies"], unchanged),
        "propertyDependencies": {key: urns for key, urns in by_property.items() if urns},
    }
    return state | {key: value for key, value in optional.items() if value}


def _known(urns: Iterable[str], unchanged: Set[str]) -> list[str]:
    return [urn for urn in urns if urn not in unchanged]
