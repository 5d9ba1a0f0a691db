"""What firewalls let through: of the cloud by a rule's inputs, of a host by its variables. Pure.

One text is one passage, such as `in tcp 8332 from 10.20.0.0/24`, the same for cloud and host.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from stacks.urns import CONVERGENCE, RULE

PATH = "lets through"
"""The path of a difference that is a passage: where it is opened there was nothing, where it is closed nothing is."""
_LATER = "what is known after the update"


def passages(kind: str, inputs: Mapping[str, Any], unknown: str) -> frozenset[str]:
    """What a resource of this type lets through; `unknown` is how Pulumi writes what only the update will know."""
    if kind == RULE and inputs:
        return frozenset({_of_rule(inputs, unknown)})
    variables = inputs.get("variables")
    if kind == CONVERGENCE and isinstance(variables, Mapping):
        return frozenset(_of_host(variables))
    return frozenset()


def differing(
    kind: str, old: Mapping[str, Any], new: Mapping[str, Any], unknown: str
) -> Iterator[tuple[str, str | None, str | None]]:
    """Path, before and after of each passage that is opened or closed."""
    if kind == CONVERGENCE and not all(isinstance(inputs.get("variables"), Mapping) for inputs in (old, new)):
        return  # masked, or not known yet
    before, after = passages(kind, old, unknown), passages(kind, new, unknown)
    for text in sorted(before ^ after):
        yield PATH, text if text in before else None, text if text in after else None


def _of_rule(inputs: Mapping[str, Any], unknown: str) -> str:
    def said(name: str) -> str:
        value = inputs.get(name)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        return "" if value is None else _LATER if value == unknown else str(value)

    inward = said("direction") != "egress"
    first, last = said("portRangeMin"), said("portRangeMax")
    ports = first if first == last else f"{first or 'any'}-{last or 'any'}"
    everyone = "::/0" if said("ethertype") == "IPv6" else "0.0.0.0/0"
    group = f"security group {said('remoteGroupId')}" if said("remoteGroupId") else ""
    return _text(inward, said("protocol"), ports, said("remoteIpPrefix") or group or everyone)


def _of_host(variables: Mapping[str, Any]) -> Iterator[str]:
    for name, inward, others in (("stakeyard_ports", True, "sources"), ("stakeyard_egress", False, "destinations")):
        entries = variables.get(name)
        for entry in entries if isinstance(entries, list) else []:
            if not isinstance(entry, Mapping):
                continue
            port = entry.get("port")
            port = int(port) if isinstance(port, float) and port.is_integer() else port
            for other in entry.get(others) or ():
                yield _text(inward, str(entry.get("protocol") or ""), "" if port is None else str(port), str(other))


def _text(inward: bool, protocol: str, ports: str, other: str) -> str:
    way, towards = ("in", "from") if inward else ("out", "to")
    return f"{way} {protocol or 'any protocol'} {ports or 'any port'} {towards} {other}"
