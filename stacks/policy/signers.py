"""One key has one signer: across kinds, across nodes, and within one node."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from stacks.policy.model import Breach, Context, Resource
from stacks.urns import CONVERGENCE


@dataclass(frozen=True)
class Held:
    """A key that a node is given, and where that is written."""

    node: str
    key: str
    place: str


def spelling(key: str) -> str:
    """The key as it is compared: hexadecimal digits have two cases, and may begin with 0x."""
    return key.casefold().removeprefix("0x")


def shared(held: Iterable[Held]) -> Iterator[tuple[Held, Held]]:
    """Each key that is there again, with where it was first."""
    first: dict[str, Held] = {}
    for each in held:
        before = first.setdefault(spelling(each.key), each)
        if before is not each:
            yield each, before


def on_fleet(context: Context) -> Iterator[Breach]:
    """Judge the keys of the stack file."""
    yield from _breaches(
        Held(name, key, f"nodes.{name}.signing_keys[{index}]")
        for name, node in context.fleet.nodes.items()
        for index, key in enumerate(node.signing_keys)
    )


def on_resources(_context: Context, resources: Sequence[Resource]) -> Iterator[Breach]:
    """Judge the keys that convergences are given."""
    yield from _breaches(
        Held(resource.name, str(key), resource.key)
        for resource in resources
        if resource.type == CONVERGENCE and resource.stays
        for key in _keys(resource.inputs.get("signer"))
    )


def _keys(signer: object) -> Iterable[object]:
    keys = signer.get("public_keys") if isinstance(signer, Mapping) else None
    return keys if isinstance(keys, list | tuple) else ()


def _breaches(held: Iterable[Held]) -> Iterator[Breach]:
    for again, before in shared(held):
        where = "twice" if again.node == before.node else f"and {before.node} too"
        sentence = f"key {again.key} is given to {again.node} {where}; one key has one signer: keep one of them."
        yield Breach(again.place, sentence, again.node)
