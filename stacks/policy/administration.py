"""Ports that administer a node are not open to the world: SSH, and all that node.yml does not open to the internet."""

from collections.abc import Iterator
from ipaddress import ip_network

from stacks import firewall
from stacks.fleet_types import RFC1918, WIDEST_PUBLIC_RANGE
from stacks.policy.model import SSH, Breach, Context, Resource
from stacks.urns import PORT, RULE

WIDEST_V6 = 32
"""Prefix length from which on a range of IPv6 addresses is one organisation's and not the world's."""
_NAMES = {"6": "tcp", "17": "udp", "1": "icmp", "58": "ipv6-icmp"}
_NO_PORTS = ("icmp", "ipv6-icmp", "icmpv6")

Ports = frozenset[tuple[str, int]]


def world(prefix: str | None) -> bool:
    """Whether a rule for this range is open to the world; without a range it is, and for an unreadable one too."""
    if not prefix:
        return True
    try:
        network = ip_network(prefix, strict=False)
    except ValueError:
        return True
    if network.version == 6:
        return network.prefixlen < WIDEST_V6
    private = any(network.subnet_of(each) for each in RFC1918)
    return network.prefixlen < WIDEST_PUBLIC_RANGE and not private


def refused(protocol: str, first: int | None, last: int | None, allowed: Ports) -> str:
    """Which of the ports `first` to `last` (None for all) may not be open to the world, in words; empty for none."""
    protocol = _NAMES.get(protocol, protocol)
    if protocol in _NO_PORTS:
        return ""
    if first is None or last is None or protocol not in ("tcp", "udp"):
        return f"all {protocol} ports" if protocol in ("tcp", "udp") else "all ports"
    bad = [port for port in range(first, last + 1) if port == SSH or (protocol, port) not in allowed]
    if not bad:
        return ""
    return f"{protocol} port {bad[0]}" + (f" and {len(bad) - 1} more" if len(bad) > 1 else "")


def on_fleet(context: Context) -> Iterator[Breach]:
    """Judge the rules that the program would make of the fleet."""
    for kind, allowed in sorted(context.internet_ports.items()):
        first = next(name for name, node in context.fleet.nodes.items() if node.kind == kind)
        for rule in firewall.rules(context.fleet, kind, context.catalogue):
            if rule.direction == "ingress" and world(rule.prefix):
                what = refused(rule.protocol, rule.port, rule.port, allowed)
                if what:
                    yield Breach(f"nodes.{first}.kind", _sentence(f"nodes of kind {kind}", what, rule.prefix))


def on_resource(context: Context, resource: Resource) -> Iterator[Breach]:
    """Judge a security group's rule, or a port that does without groups."""
    inputs = resource.inputs
    if not resource.stays:
        return
    if resource.type == PORT and (inputs.get("noSecurityGroups") or inputs.get("portSecurityEnabled") is False):
        problem = "has no security group, so every port is open to the world; give it the group of its kind."
        yield Breach(resource.key, f"{resource.name} {problem}", context.owner(resource))
    if resource.type != RULE or inputs.get("direction") != "ingress" or inputs.get("remoteGroupId"):
        return
    if resource.unknown & {"remoteGroupId", "remoteIpPrefix", "protocol", "portRangeMin", "portRangeMax"}:
        return
    prefix = inputs.get("remoteIpPrefix")
    if world(prefix):
        protocol = str(inputs.get("protocol") or "any")
        first, last = (_port(inputs.get(f"portRange{end}")) for end in ("Min", "Max"))
        what = refused(protocol, first, last, _allowed(context, resource.name))
        if what:
            yield Breach(resource.key, _sentence(resource.name, what, prefix))


def _allowed(context: Context, name: str) -> Ports:
    """What may be open in the group that a rule of this name is in: that of its kind, else of any kind."""
    own = [ports for kind, ports in context.internet_ports.items() if f"-{kind}-ingress-" in name]
    return frozenset[tuple[str, int]]().union(*(own or context.internet_ports.values()))


def _port(value: object) -> int | None:
    # Numbers from Pulumi are floating.
    return int(value) if isinstance(value, int | float) and value > 0 else None


def _sentence(who: str, what: str, prefix: str | None) -> str:
    where = prefix or "any address"
    return f"{who}: {what} would be open to {where}; open it to the operators' ranges, the site or named nodes only."
