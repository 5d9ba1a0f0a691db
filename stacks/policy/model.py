"""What a rule is, what it is given, and what it gives."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from typing import Any

from stacks.catalogue import Catalogue, Kind
from stacks.catalogue_clients import Client
from stacks.fleet_models import Fleet, Node
from stacks.preview.model import Level, Operation

SSH = 22


@dataclass(frozen=True)
class Resource:
    """A resource as a preview plans it or a state has it. Inputs are named as Pulumi's engine names them."""

    type: str
    name: str
    urn: str = ""
    inputs: Mapping[str, Any] = field(default_factory=dict)
    """Without what is not known yet."""
    protect: bool = False
    operation: Operation | None = None
    """What a preview would do; None for nothing, and for a resource of a state."""
    unknown: frozenset[str] = frozenset()
    """Names of inputs that are not known yet: a rule that depends on one waits until it is."""

    @property
    def key(self) -> str:
        """How a finding names it."""
        return f"{self.type}::{self.name}"

    @property
    def stays(self) -> bool:
        """Whether it is there when the update is done."""
        return self.operation != "delete"


@dataclass(frozen=True)
class Breach:
    """One thing that breaks a rule: where, and a sentence with what to do."""

    key: str
    sentence: str
    node: str | None = None


@dataclass(frozen=True)
class Context:
    """What rules judge by. What is derived from it is worked out once, as a fleet can have thousands of resources."""

    fleet: Fleet
    catalogue: Catalogue
    today: date

    def kind(self, node: Node) -> Kind:
        """The node's kind."""
        return self.catalogue.kind(node.kind)

    @cached_property
    def signers(self) -> Mapping[str, Node]:
        """The nodes that sign."""
        return {name: node for name, node in self.fleet.nodes.items() if self.kind(node).signer}

    @cached_property
    def clients(self) -> Mapping[str, tuple[Client, ...]]:
        """By node: what it runs. Raises `StakeyardError` where a variable chooses a client that its role lacks."""
        return {name: self.kind(node).clients(node.vars) for name, node in self.fleet.nodes.items()}

    def release_key(self, name: str, client: Client) -> str:
        """Where a finding on a client's release points: the variable where the stack file sets it, else the node."""
        here = f"nodes.{name}"
        return f"{here}.vars.{client.variable}" if client.variable in self.fleet.nodes[name].vars else here

    @cached_property
    def key_volumes(self) -> tuple[str, ...]:
        """The names that kinds which sign give to their key volumes."""
        return tuple(sorted({kind.signer.volume for kind in self.catalogue.kinds.values() if kind.signer}))

    @cached_property
    def internet_ports(self) -> Mapping[str, frozenset[tuple[str, int]]]:
        """By kind: protocol and number of what node.yml opens to everyone, on the networks of the fleet's nodes."""
        found: dict[str, set[tuple[str, int]]] = {}
        for name, network in {(node.kind, self.kind(node).network(node.vars)) for node in self.fleet.nodes.values()}:
            variable = self.catalogue.kind(name).network_variable
            resolved = self.catalogue.resolve(name, {variable: network} if variable else {})
            # SSH is the host's; whatever its node.yml says, it is not for everyone.
            ports = {(port.protocol, port.port) for port in resolved.ports if port.reach == "internet"}
            found.setdefault(name, set()).update(ports - {("tcp", SSH)})
        return {name: frozenset(ports) for name, ports in found.items()}

    @cached_property
    def _owners(self) -> Mapping[str, str]:
        volumes = {f"{name}-{key}": name for name, node in self.fleet.nodes.items() for key in node.volumes}
        return volumes | {name: name for name in self.fleet.nodes}

    def owner(self, resource: Resource) -> str | None:
        """The node that the resource belongs to; None for what nodes share, and for nodes that are no more."""
        return self._owners.get(resource.name)


@dataclass(frozen=True)
class Rule:
    """One row of the table: what it refuses, what to do, and how it is judged on each level."""

    id: str
    level: Level
    refuses: str
    remedy: str
    fleet: Callable[[Context], Iterable[Breach]] | None = None
    """Judges the typed fleet."""
    resource: Callable[[Context, Resource], Iterable[Breach]] | None = None
    """Judges one resource by itself."""
    resources: Callable[[Context, Sequence[Resource]], Iterable[Breach]] | None = None
    """Judges all resources together."""
    of_changes: bool = False
    """Whether it judges what would be done to a resource, and not what it is."""
    waivable: bool = True

    def on_fleet(self, context: Context) -> Iterator[Breach]:
        """What breaks the rule in the fleet."""
        yield from self.fleet(context) if self.fleet else ()

    def on_resources(self, context: Context, resources: Sequence[Resource]) -> Iterator[Breach]:
        """What breaks the rule among the resources."""
        if self.resource:
            for resource in resources:
                yield from self.resource(context, resource)
        yield from self.resources(context, resources) if self.resources else ()

    @property
    def looks_at_resources(self) -> bool:
        """Whether it says anything of resources."""
        return bool(self.resource or self.resources)
