"""A state, in the form that `pulumi stack import` takes, in which a program's resources are there as declared."""

from collections.abc import Iterable, Mapping
from typing import Any

from stacks.preview.collector import made_up

_MOMENT = "2020-01-01T00:00:00Z"
_SCHEMA = 3
"""Pulumi's version of this form."""


def deployment(resources: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The state of what stacks/preview/collector.py found, with the providers that an engine adds by itself."""
    states: list[dict[str, Any]] = []
    defaults: dict[str, str] = {}
    for resource in resources:
        provider = str(resource["provider"])
        kind = str(resource["type"])
        if resource["custom"] and not provider and not kind.startswith("pulumi:providers:"):
            package = kind.partition(":")[0]
            if package not in defaults:
                default = _default_provider(str(resource["urn"]), package)
                defaults[package] = f"{default['urn']}::{default['id']}"
                states.append(default)
            provider = defaults[package]
        states.append(_state(resource, provider))
    manifest = {"time": _MOMENT, "magic": "", "version": ""}
    return {"version": _SCHEMA, "deployment": {"manifest": manifest, "resources": states}}


def _default_provider(urn: str, package: str) -> dict[str, Any]:
    stack, project = urn.removeprefix("urn:pulumi:").split("::")[:2]
    kind = f"pulumi:providers:{package}"
    own = f"urn:pulumi:{stack}::{project}::{kind}::default"
    return {"urn": own, "custom": True, "type": kind, "id": made_up(own), "inputs": {}, "outputs": {}}


def _state(resource: Mapping[str, Any], provider: str) -> dict[str, Any]:
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
        "dependencies": resource["dependencies"],
        "propertyDependencies": resource["propertyDependencies"],
    }
    return state | {key: value for key, value in optional.items() if value}
