"""Addresses and volumes outside throw-away stacks are protected, and addresses and keys are not lost by an update."""

from collections.abc import Iterator

from stacks.policy.model import Breach, Context, Resource
from stacks.urns import FLOATING_IP, PORT, VOLUME

_WORDS = {FLOATING_IP: "floating address", PORT: "fixed address", VOLUME: "volume"}


def key_volume(context: Context, resource: Resource) -> bool:
    """Whether it is a volume with keys; by its name, as its node may be gone from the stack file."""
    return resource.type == VOLUME and resource.name.endswith(tuple(f"-{name}" for name in context.key_volumes))


def unprotected(context: Context, resource: Resource) -> Iterator[Breach]:
    """An address or a volume that Pulumi would delete without a word."""
    if context.fleet.throwaway or resource.protect or not resource.stays or resource.type not in _WORDS:
        return
    problem = (
        "is not protected, so an update may delete it; run this repository's program, or `stakeyard pulumi state "
        "protect`."
    )
    yield Breach(resource.key, f"{_WORDS[resource.type]} {resource.name} {problem}", context.owner(resource))


def lost(context: Context, resource: Resource) -> Iterator[Breach]:
    """An address or a volume with keys that an update would delete or replace."""
    if context.fleet.throwaway or resource.operation not in ("delete", "replace"):
        return
    keys = key_volume(context, resource)
    if not keys and resource.type not in (FLOATING_IP, PORT):
        return
    would = f"would be {resource.operation}d"
    if keys:
        sentence = (
            f"volume {resource.name} holds signing keys and their history and {would}; keep the node's name, zone, "
            "volume type and metadata as they are, and retire the keys first where they are to go (docs/rebuild.md)."
        )
    else:
        sentence = (
            f"{_WORDS[resource.type]} {resource.name} {would} and peers would lose the node; keep the node's name and "
            "address, or waive this for the update that lets it go."
        )
    yield Breach(resource.key, sentence, context.owner(resource) or _former(context, resource))


def _former(context: Context, resource: Resource) -> str | None:
    """The node's name of a resource whose node is gone: the resource's own, without the volume's."""
    name = resource.name
    for volume in context.key_volumes if resource.type == VOLUME else ():
        name = name.removesuffix(f"-{volume}")
    return name or None
