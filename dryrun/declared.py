"""What a program declares, and whether that is what another revision of it declared: pure."""

from collections.abc import Mapping, Set
from hashlib import sha256
from typing import Any

from google.protobuf.json_format import MessageToDict  # type: ignore[import-untyped]
from pulumi.runtime.proto import resource_pb2

from dryrun.answers import made_up, outputs_of, urn_of

PROVIDERS = "pulumi:providers:"


def declaration(request: Any, stack: str, project: str) -> dict[str, Any]:
    """The resource that a registration declares, as it is once it has been made."""
    urn = urn_of(stack, project, request.parent, request.type, request.name)
    inputs = MessageToDict(request.object)
    if request.type.startswith(PROVIDERS) and request.version:
        inputs["version"] = request.version  # the engine does so, too
    return {
        "type": request.type,
        "name": request.name,
        "urn": urn,
        "id": made_up(urn) if request.custom else "",
        "custom": bool(request.custom),
        "parent": request.parent,
        "provider": request.provider,
        "version": request.version,
        "protect": bool(request.protect),
        "dependencies": list(request.dependencies),
        "propertyDependencies": {
            key: list(found.urns) for key, found in request.propertyDependencies.items() if found.urns
        },
        "inputs": inputs,
        "outputs": outputs_of(request.type, request.name, inputs),
    }


def fingerprint(request: Any) -> str:
    """The same for two registrations, or look-ups, that ask for the same with all their options."""
    plain = type(request)()
    plain.CopyFrom(request)
    for place in ("sourcePosition", "stackTrace"):
        plain.ClearField(place)
    if isinstance(plain, resource_pb2.RegisterResourceRequest):
        _sort(plain.dependencies)
        for found in plain.propertyDependencies.values():
            _sort(found.urns)
    return sha256(plain.SerializeToString(deterministic=True)).hexdigest()


def _sort(urns: Any) -> None:
    """The program gathers them in sets, in another order in every run."""
    urns[:] = sorted(urns)


def needs(request: Any) -> frozenset[str]:
    """The URNs of all that a registration depends on in any way."""
    own = (request.parent, request.deletedWith, *request.dependencies, *request.replace_with)
    by_property = (urn for found in request.propertyDependencies.values() for urn in found.urns)
    providers = (provider_urn(reference) for reference in (request.provider, *request.providers.values()))
    return frozenset({*own, *by_property, *providers} - {""})


def provider_urn(reference: str) -> str:
    """The provider's URN in a reference, which is that and an identifier."""
    return reference.rpartition("::")[0]


def unchanged(request: Any, urn: str, base: Mapping[str, str], answered: Set[str]) -> bool:
    """Whether the base (fingerprint by URN) declares the same, and so does what it depends on.

    Only then can no change reach it: neither of its own nor of what it stands on.
    """
    return base.get(urn) == fingerprint(request) and needs(request) <= answered


def without(request: Any, answered: Set[str]) -> Any:
    """The registration without its dependencies on what the engine does not get to know."""
    made = resource_pb2.RegisterResourceRequest()
    made.CopyFrom(request)
    made.dependencies[:] = [urn for urn in made.dependencies if urn not in answered]
    made.replace_with[:] = [urn for urn in made.replace_with if urn not in answered]
    if made.deletedWith in answered:
        made.deletedWith = ""
    for key in list(made.propertyDependencies):
        found = made.propertyDependencies[key].urns
        found[:] = [urn for urn in found if urn not in answered]
    return made


def stands(request: Any) -> bool:
    """Whether it is told to the engine although nothing changes, because others stand on it: a parent or a provider."""
    return not request.custom or request.type.startswith(PROVIDERS)
