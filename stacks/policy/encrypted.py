"""Volumes outside throw-away stacks are encrypted: by metadata on Open Telekom Cloud, elsewhere by their type."""

from collections.abc import Iterator, Mapping

from stacks import encryption
from stacks.policy.model import Breach, Context, Resource
from stacks.urns import VOLUME


def problem(context: Context, kind: str | None, metadata: Mapping[str, object]) -> str:
    """What is wrong with a volume of this type and metadata, and what to do; empty where it is encrypted."""
    fleet = context.fleet
    if fleet.throwaway or kind in fleet.policy.encrypted_types:
        return ""
    if fleet.platform == "otc":
        if encryption.by_metadata(metadata):
            return ""
        return (
            f"is not encrypted; set {encryption.ENCRYPTED} to '1' and {encryption.KEY_ID} to the id of a KMS key in "
            "its metadata, before it is made."
        )
    return (
        f"is of type {kind or '(none)'}, which policy.encrypted_types does not name; take an encrypted type, or add "
        "this one if the cloud encrypts it."
    )


def on_fleet(context: Context) -> Iterator[Breach]:
    """Judge the volumes of the stack file; a system disk holds no keys and no chain data."""
    for name, node in context.fleet.nodes.items():
        for key, volume in node.volumes.items():
            wrong = problem(context, volume.type, volume.metadata)
            if wrong:
                yield Breach(f"nodes.{name}.volumes.{key}", f"volume {key} of {name} {wrong}", name)


def on_resource(context: Context, resource: Resource) -> Iterator[Breach]:
    """Judge a volume."""
    if resource.type != VOLUME or not resource.stays or resource.unknown & {"metadata", "volumeType"}:
        return
    metadata = resource.inputs.get("metadata")
    kind = resource.inputs.get("volumeType")
    wrong = problem(context, kind if isinstance(kind, str) else None, metadata if isinstance(metadata, Mapping) else {})
    if wrong:
        yield Breach(resource.key, f"volume {resource.name} {wrong}", context.owner(resource))
