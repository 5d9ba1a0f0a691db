"""Signers of one set do not all stand in one zone, or on one client: what fails together is limited.

A set is the nodes of one kind on one network. Shares are of its keys, as that is what would be missing on the chain. A
zone or client with one node only is never too much: a node cannot be divided.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

from stacks.fleet_models import Node
from stacks.fleet_policy import DEFAULT_SHARE
from stacks.policy.model import Breach, Context


@dataclass
class Part:
    """The members of a set that one failure would stop."""

    keys: int = 0
    nodes: list[str] = field(default_factory=list)

    def add(self, name: str, keys: int) -> None:
        """Count a node."""
        self.keys += keys
        self.nodes.append(name)

    def __str__(self) -> str:
        """The nodes in brackets, three at most."""
        more = f" and {len(self.nodes) - 3} more" if len(self.nodes) > 3 else ""
        return f"({', '.join(self.nodes[:3])}{more})"

    def too_much(self, total: int, percent: int) -> bool:
        """Whether it is more than this share of the set's keys, on more than one node."""
        return len(self.nodes) > 1 and self.keys * 100 > percent * total


@dataclass
class Group:
    """A set of signers."""

    title: str
    members: dict[str, Node] = field(default_factory=dict)

    @cached_property
    def keys(self) -> int:
        """How many keys it has; asked for when all members are there."""
        return sum(len(node.signing_keys) for node in self.members.values())

    def share(self, part: Part) -> str:
        """A part of it, in words."""
        return f"{part.keys * 100 // self.keys} % of the {self.keys} keys of {self.title}"


def zones(context: Context) -> Iterator[Breach]:
    """Zones beyond the stack file's limit."""
    yield from _zones(context, context.fleet.policy.max_share_per_zone)


def crowded_zones(context: Context) -> Iterator[Breach]:
    """Zones beyond two thirds where the stack file has no limit."""
    if context.fleet.policy.max_share_per_zone is None and not context.fleet.throwaway:
        yield from _zones(context, DEFAULT_SHARE)


def clients(context: Context) -> Iterator[Breach]:
    """Clients beyond the stack file's limit."""
    yield from _clients(context, context.fleet.policy.max_share_per_client)


def crowded_clients(context: Context) -> Iterator[Breach]:
    """Clients beyond two thirds where the stack file has no limit."""
    if context.fleet.policy.max_share_per_client is None and not context.fleet.throwaway:
        yield from _clients(context, DEFAULT_SHARE)


def _zones(context: Context, limit: int | None) -> Iterator[Breach]:
    for group in _sets(context) if limit is not None else ():
        parts: dict[str, Part] = {}
        for name, node in group.members.items():
            parts.setdefault(node.zone, Part()).add(name, len(node.signing_keys))
        for zone, part in sorted(parts.items()):
            if part.too_much(group.keys, limit or 0):
                remedy = "move nodes to another zone, or raise policy.max_share_per_zone"
                sentence = f"{group.share(part)} are in zone {zone} {part}, more than {limit} %; {remedy}."
                yield Breach(f"zones[{context.fleet.zones.index(zone)}]", sentence)


def _clients(context: Context, limit: int | None) -> Iterator[Breach]:
    for group in _sets(context) if limit is not None else ():
        parts: dict[str, Part] = {}
        for name, node in group.members.items():
            for client in _depends(context, name):
                parts.setdefault(client, Part()).add(name, len(node.signing_keys))
        for client, part in sorted(parts.items()):
            if part.too_much(group.keys, limit or 0):
                remedy = "let nodes use another client, or raise policy.max_share_per_client"
                sentence = f"{group.share(part)} depend on {client} {part}, more than {limit} %; {remedy}."
                yield Breach(f"nodes.{part.nodes[0]}", sentence)


def _sets(context: Context) -> list[Group]:
    found: dict[str, Group] = {}
    for name, node in context.signers.items():
        network = context.kind(node).network(node.vars)
        title = f"{node.kind} on {network}" if network else node.kind
        found.setdefault(title, Group(title)).members[name] = node
    return list(found.values())


def _depends(context: Context, name: str) -> set[str]:
    """The clients without which the node cannot sign: those of a role for which it has no other one."""
    nodes, waiting, seen = context.fleet.nodes, [name], {name}
    by_role: dict[str, set[str]] = {}
    while waiting:
        here = waiting.pop()
        for client in context.clients[here]:
            by_role.setdefault(client.role, set()).add(client.name)
        new = [other for other in nodes[here].uses if other not in seen]
        seen.update(new)
        waiting += new
    return {f"{next(iter(names))} ({role})" for role, names in by_role.items() if len(names) == 1}
