"""The kinds of node, read from roles/*/node.yml: the only thing the program knows about chains."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from pydantic import ValidationError

from stacks import paths
from stacks.catalogue_models import EgressRule, FileRule, NodeFile, PerNetwork, PortRule, T, VolumeRule
from stacks.catalogue_roles import Option, Role, read_role, roles_used
from stacks.errors import StakeyardError
from stacks.fleet_text import near, require_plain, sentence, shown
from stacks.fleet_yaml import read_yaml

HOST = "host"
"""The role that every node has; its node.yml is merged into every kind."""


@dataclass(frozen=True)
class Port:
    """One port that a node listens on; `reach` says who may reach it."""

    name: str
    protocol: Literal["tcp", "udp"]
    port: int
    reach: Literal["internet", "site", "peers", "operators", "loopback"]


@dataclass(frozen=True)
class Egress:
    """One kind of traffic that a node sends; `port` is None for any port."""

    name: str
    protocol: Literal["tcp", "udp"]
    port: int | None
    to: Literal["internet", "site", "peers", "metadata"]


@dataclass(frozen=True)
class VolumeNeed:
    """One volume that the kind can use, with the sizes that hold for the node's network (GiB)."""

    name: str
    mount: str
    holds: str
    restore: str
    minimum_gib: int
    required: bool


@dataclass(frozen=True)
class Resolved:
    """A kind as it is for one node's variables, with what `host` adds."""

    kind: str
    network: str | None
    unit: str
    roles: tuple[str, ...]
    ports: tuple[Port, ...]
    egress: tuple[Egress, ...]
    volumes: Mapping[str, VolumeNeed]
    files: tuple[FileRule, ...]


@dataclass(frozen=True)
class Kind:
    """One kind of node: its node.yml and the roles it is made of."""

    file: NodeFile
    roles: tuple[Role, ...]
    """`host`, the kind's roles in order of application, then the roles that these import."""
    given: frozenset[str] = frozenset()
    """Variables that a role sets where it imports another: not the operator's to set."""

    @property
    def name(self) -> str:
        """The word that a stack file uses."""
        return self.file.kind

    @property
    def applied(self) -> tuple[str, ...]:
        """Names of the roles a play lists: `host`, then the kind's own."""
        return (HOST, *self.file.roles)

    @property
    def role_names(self) -> tuple[str, ...]:
        """Names of all roles whose files matter to a node of this kind, imported ones too."""
        return tuple(role.name for role in self.roles)

    @property
    def options(self) -> dict[str, Option]:
        """Every variable that may be set under a node's `vars`."""
        options = (option for role in self.roles for option in role.options.values())
        return {option.name: option for option in options if option.name not in self.given}

    def network(self, variables: Mapping[str, object]) -> str | None:
        """The chain network that these variables (or the role's default) select."""
        name = self.file.network_variable
        if name is None:
            return None
        default = self.options[name].default if name in self.options else None
        value = variables.get(name, default)
        return value if isinstance(value, str) else None


@dataclass(frozen=True)
class Catalogue:
    """All kinds, and what `host` adds to each."""

    kinds: Mapping[str, Kind]
    host: NodeFile

    def kind(self, name: str) -> Kind:
        """The kind of this name. Raises `StakeyardError` where there is none."""
        if name not in self.kinds:
            raise StakeyardError(f"{shown(name)} is not a kind of node; {near(name, self.kinds)}")
        return self.kinds[name]

    def resolve(self, name: str, variables: Mapping[str, object]) -> Resolved:
        """The kind `name` for a node with these `vars`. Raises `StakeyardError` where its network is not known."""
        kind = self.kind(name)
        network = kind.network(variables)
        files = (self.host, kind.file)
        return Resolved(
            kind=name,
            network=network,
            unit=kind.file.unit or "",
            roles=kind.applied,
            ports=tuple(port for file in files for port in _ports(file, network)),
            egress=tuple(rule for file in files for rule in _egress(file, network)),
            volumes=MappingProxyType({need.name: need for need in _volumes(kind.file, network)}),
            files=tuple(entry for file in files for entry in file.files),
        )


def load_catalogue(roles: Path | None = None) -> Catalogue:
    """Every kind under `roles` (default: this repository's). Raises `StakeyardError` naming the file and the key."""
    directory = roles or paths.REPOSITORY / "roles"
    files = {path.parent.name: _node_file(path) for path in sorted(directory.glob("*/node.yml"))}
    host = files.pop(HOST, None)
    if host is None:
        raise StakeyardError(f"{directory / HOST / 'node.yml'}: is missing, and every kind builds on it; restore it.")
    kinds = {name: _kind(directory, file) for name, file in files.items()}
    for name, kind in kinds.items():
        _check(directory / name / "node.yml", kind, host)
    return Catalogue(MappingProxyType(kinds), host)


def _node_file(path: Path) -> NodeFile:
    data = read_yaml(path)
    try:
        require_plain(data, "the file")
        file = NodeFile.model_validate(data)
    except ValidationError as error:
        raise StakeyardError(f"{path}: {sentence(error, data, whole='the file')}") from None
    except StakeyardError as error:
        raise StakeyardError(f"{path}: {error}") from None
    if file.kind != path.parent.name:
        raise StakeyardError(f"{path}: kind: is {file.kind} in the folder {path.parent.name}; give both the same name.")
    for key in ("roles", "unit"):
        if file.kind != HOST and not getattr(file, key):
            raise StakeyardError(f"{path}: {key}: this key is missing; add it.")
    return file


def _kind(directory: Path, file: NodeFile) -> Kind:
    for name in file.roles:
        if not (directory / name).is_dir():
            place = directory / file.kind / "node.yml"
            raise StakeyardError(f"{place}: roles: there is no role {shown(name)}; correct it.")
    names, given = roles_used(directory, (HOST, *file.roles))
    return Kind(file, tuple(read_role(directory / name) for name in names), given)


def _check(path: Path, kind: Kind, host: NodeFile) -> None:
    for part in ("ports", "egress"):
        for name in getattr(kind.file, part):
            if name in getattr(host, part):
                raise StakeyardError(f"{path}: {part}.{name}: the role host has this name already; choose another.")
    variable = kind.file.network_variable
    option = kind.options.get(variable) if variable else None
    for place, values in kind.file.per_network():
        for network in option.choices if option else ():
            if network not in values:
                raise StakeyardError(f"{path}: {place}: the network {network} is missing; add its value.")


def _for(value: "PerNetwork[T]", network: str | None, place: str) -> T:
    if not isinstance(value, dict):
        return value
    if network is None:
        raise StakeyardError(f"must be plain text, as {place} depends on it; write the network.")
    if network not in value:
        raise StakeyardError(f"node.yml has no {place} for the network {shown(network)}; {near(str(network), value)}")
    return value[network]


def _ports(file: NodeFile, network: str | None) -> Iterator[Port]:
    for name, rule in file.ports.items():
        yield Port(name, rule.protocol, _number(name, rule, network), rule.reach)


def _number(name: str, rule: PortRule, network: str | None) -> int:
    return _for(rule.port, network, f"ports.{name}.port")


def _egress(file: NodeFile, network: str | None) -> Iterator[Egress]:
    for name, rule in file.egress.items():
        yield Egress(name, rule.protocol, _egress_port(file, name, rule, network), rule.to)


def _egress_port(file: NodeFile, name: str, rule: EgressRule, network: str | None) -> int | None:
    port = _for(rule.port, network, f"egress.{name}.port")
    if port == "same":
        return _number(name, file.ports[name], network)
    return port if isinstance(port, int) else None


def _volumes(file: NodeFile, network: str | None) -> Iterator[VolumeNeed]:
    for name, rule in file.volumes.items():
        yield _need(name, rule, network)


def _need(name: str, rule: VolumeRule, network: str | None) -> VolumeNeed:
    minimum = _for(rule.minimum_gib, network, f"volumes.{name}.minimum_gib")
    required = _for(rule.required, network, f"volumes.{name}.required")
    return VolumeNeed(name, rule.mount, rule.holds, rule.restore, minimum, required)
