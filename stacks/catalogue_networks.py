"""What a node.yml says for one chain network: ports, traffic, volumes, signing and downtime.

Each function raises `StakeyardError` where a value depends on a network that the file does not know.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from stacks.catalogue_models import EgressRule, NodeFile, PerNetwork, PortRule, T, VolumeRule
from stacks.errors import StakeyardError
from stacks.fleet_text import near


@dataclass(frozen=True)
class Port:
    """One port that a node listens on; `reach` says who may reach it."""

    name: str
    protocol: Literal["tcp", "udp"]
    port: int
    reach: Literal["internet", "site", "peers", "users", "operators", "loopback"]
    role: str = field(default="", compare=False)
    """The role whose service listens there."""


@dataclass(frozen=True)
class Egress:
    """One kind of traffic that a node sends; `port` is None for any port."""

    name: str
    protocol: Literal["tcp", "udp"]
    port: int | None
    to: Literal["internet", "site", "peers", "used", "metadata"]


@dataclass(frozen=True)
class VolumeNeed:
    """One volume that the kind can use, with the sizes that hold for the node's network (GiB)."""

    name: str
    mount: str
    holds: str
    minimum_gib: int
    required: bool


@dataclass(frozen=True)
class Signer:
    """How a signing node keeps its keys; the silence is in epochs of its network, and in seconds.

    `duty_seconds`: within how many seconds of its client's start every active key must be seen on chain.
    """

    kind: str
    """The folder whose signer.py knows the keys' protocol."""
    volume: str
    mount: str
    keys: str
    history: str
    silence_epochs: int
    silence_seconds: int
    duty_seconds: int


@dataclass(frozen=True)
class Downtime:
    """Seconds that a node is expected to be without its service: when it is restarted, and on another server."""

    restart: int
    server: int


def _for(value: "PerNetwork[T]", network: str | None, place: str) -> T:
    if not isinstance(value, dict):
        return value
    if network is None:
        raise StakeyardError(f"must be plain text, as {place} depends on it; write the network.")
    if network not in value:
        raise StakeyardError(f"node.yml has no {place} for this network; {near(str(network), value)}")
    return value[network]


def ports_on(file: NodeFile, network: str | None) -> Iterator[Port]:
    """The ports that a part listens on."""
    for name, rule in file.ports.items():
        yield Port(name, rule.protocol, _number(name, rule, network), rule.reach, file.kind)


def _number(name: str, rule: PortRule, network: str | None) -> int:
    return _for(rule.port, network, f"ports.{name}.port")


def egress_on(file: NodeFile, network: str | None) -> Iterator[Egress]:
    """The traffic that a part sends."""
    for name, rule in file.egress.items():
        yield Egress(name, rule.protocol, _egress_port(file, name, rule, network), rule.to)


def _egress_port(file: NodeFile, name: str, rule: EgressRule, network: str | None) -> int | None:
    port = _for(rule.port, network, f"egress.{name}.port")
    if port == "same":
        return _number(name, file.ports[name], network)
    return port if isinstance(port, int) else None


def volumes_on(file: NodeFile, network: str | None, given: Collection[str]) -> Iterator[VolumeNeed]:
    """The volumes that a part can use where the variables of these names are `given`."""
    for name, rule in file.volumes.items():
        yield _need(name, rule, network, rule.unless in given)


def _need(name: str, rule: VolumeRule, network: str | None, small: bool) -> VolumeNeed:
    if small:
        return VolumeNeed(name, rule.mount, rule.holds, 1, False)
    minimum = _for(rule.minimum_gib, network, f"volumes.{name}.minimum_gib")
    required = _for(rule.required, network, f"volumes.{name}.required")
    return VolumeNeed(name, rule.mount, rule.holds, minimum, required)


def signer_on(file: NodeFile, network: str | None) -> Signer | None:
    """How a part signs; None for one that does not."""
    rule = file.signer
    if rule is None:
        return None
    return Signer(
        kind=file.kind,
        volume=rule.volume,
        mount=file.volumes[rule.volume].mount,
        keys=rule.keys,
        history=rule.history,
        silence_epochs=_for(rule.silence_epochs, network, "signer.silence_epochs"),
        silence_seconds=_for(rule.silence_seconds, network, "signer.silence_seconds"),
        duty_seconds=_for(rule.duty_seconds, network, "signer.duty_seconds"),
    )


def downtime_on(parts: Iterable[NodeFile], network: str | None) -> Downtime | None:
    """The longest of the parts; None where none says it."""
    rules = [part.downtime for part in parts if part.downtime]
    if not rules:
        return None
    return Downtime(
        restart=max(_for(rule.restart_seconds, network, "downtime.restart_seconds") for rule in rules),
        server=max(_for(rule.server_seconds, network, "downtime.server_seconds") for rule in rules),
    )
