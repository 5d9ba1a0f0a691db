"""Who may talk to whom: one resolved list, from which security groups and nftables are both made."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from stacks.catalogue import Catalogue
from stacks.catalogue_networks import Port
from stacks.fleet_models import Fleet, Node

INTERNET = "0.0.0.0/0"
METADATA = "169.254.169.254/32"


@dataclass(frozen=True)
class OpenPort:
    """One port that a node opens, and to which ranges."""

    name: str
    protocol: str
    port: int
    sources: tuple[str, ...]

    def as_variable(self) -> dict[str, object]:
        """One entry of `stakeyard_ports`."""
        return {"name": self.name, "protocol": self.protocol, "port": self.port, "sources": list(self.sources)}


@dataclass(frozen=True)
class OpenEgress:
    """One kind of traffic that a node may send; `port` None is any port."""

    name: str
    protocol: str
    port: int | None
    destinations: tuple[str, ...]

    def as_variable(self) -> dict[str, object]:
        """One entry of `stakeyard_egress`; without `port` it is any port."""
        port = {} if self.port is None else {"port": self.port}
        return {"name": self.name, "protocol": self.protocol, **port, "destinations": list(self.destinations)}


@dataclass(frozen=True, order=True)
class Rule:
    """One security group rule in Neutron's canonical form: no port means all of them, a prefix has no host bits."""

    direction: str
    protocol: str
    port: int | None
    prefix: str

    @property
    def name(self) -> str:
        """Unique within a group: `ingress-tcp-22-198.51.100.7/32`."""
        return f"{self.direction}-{self.protocol}-{self.port or 'any'}-{self.prefix}"


def open_ports(fleet: Fleet, node: Node, catalogue: Catalogue) -> list[OpenPort]:
    """What the node opens; a port that nobody may reach is not in the list."""
    found = catalogue.resolve(node.kind, node.vars).ports
    resolved = [
        OpenPort(
            port.name, port.protocol, port.port, _ranges(fleet, node, port.reach, _users(fleet, node, port, catalogue))
        )
        for port in found
    ]
    return [port for port in resolved if port.sources]


def _users(fleet: Fleet, node: Node, port: Port, catalogue: Catalogue) -> list[Node]:
    return users(fleet, node, port, catalogue) if port.reach == "users" else []


def open_egress(fleet: Fleet, node: Node, catalogue: Catalogue) -> list[OpenEgress]:
    """What the node may send."""
    found = catalogue.resolve(node.kind, node.vars).egress
    resolved = [OpenEgress(rule.name, rule.protocol, rule.port, _ranges(fleet, node, rule.to)) for rule in found]
    return [rule for rule in resolved if rule.destinations]


def _ranges(fleet: Fleet, node: Node, who: str, users: Iterable[Node] = ()) -> tuple[str, ...]:
    ranges: Mapping[str, Iterable[str]] = {
        "internet": [INTERNET],
        "site": [str(fleet.network.cidr)],
        "operators": [str(network) for network in fleet.operators.ranges],
        "peers": [f"{fleet.nodes[peer].address}/32" for peer in node.peers],
        "used": [f"{fleet.nodes[other].address}/32" for other in node.uses],
        "users": [f"{other.address}/32" for other in users],
        "metadata": [METADATA],
        "loopback": [],
    }
    return tuple(dict.fromkeys(ranges[who]))


def users(fleet: Fleet, node: Node, port: Port, catalogue: Catalogue) -> list[Node]:
    """The nodes that name this one under `uses` for the service that listens on `port`."""
    return [other for other in _using(fleet).get(id(node), ()) if port.role in catalogue.kind(other.kind).uses]


def _using(fleet: Fleet) -> Mapping[int, list[Node]]:
    """The nodes that name a node under `uses`, by that node's identity.

    Made once a fleet: every node asks, and a fleet does not change.
    """
    if _last.nodes is not fleet.nodes:
        found: dict[int, list[Node]] = {}
        for other in fleet.nodes.values():
            for used in {id(fleet.nodes[name]) for name in other.uses}:
                found.setdefault(used, []).append(other)
        _last.nodes, _last.using = fleet.nodes, found
    return _last.using


@dataclass
class _Using:
    """What `_using` found last; `nodes` is kept with it, so that an identity in it stays that node's."""

    nodes: Mapping[str, Node]
    using: Mapping[int, list[Node]]


_last = _Using({}, {})


def rules(fleet: Fleet, kind: str, catalogue: Catalogue) -> list[Rule]:
    """The rules of the security group that all nodes of a kind share, each once, sorted."""
    found: set[Rule] = set()
    for node in fleet.nodes.values():
        if node.kind != kind:
            continue
        for port in open_ports(fleet, node, catalogue):
            found |= {Rule("ingress", port.protocol, port.port, source) for source in port.sources}
        for egress in open_egress(fleet, node, catalogue):
            found |= {Rule("egress", egress.protocol, egress.port, to) for to in egress.destinations}
    return sorted(found, key=lambda rule: (rule.direction, rule.protocol, rule.port or 0, rule.prefix))
