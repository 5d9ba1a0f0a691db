"""The kinds of node, read from roles/*/node.yml: the only thing the program knows about chains."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from pydantic import ValidationError

from stacks import paths
from stacks.catalogue_clients import Client, Software, read_software
from stacks.catalogue_models import FileRule, NodeFile, SignerRule, VolumeRule
from stacks.catalogue_networks import (
    Downtime,
    Egress,
    Port,
    Signer,
    VolumeNeed,
    downtime_on,
    egress_on,
    ports_on,
    signer_on,
    volumes_on,
)
from stacks.catalogue_roles import Option, Role, read_role
from stacks.errors import StakeyardError
from stacks.fleet_text import near, require_plain, sentence, shown
from stacks.fleet_yaml import read_yaml
from stacks.role_imports import refuse_hidden, roles_used

HOST = "host"
"""The role that every node has; its node.yml is merged into every kind."""


@dataclass(frozen=True)
class Resolved:
    """A kind as it is for one node's variables, with what `host` adds."""

    kind: str
    network: str | None
    units: tuple[str, ...]
    """The services, in the order in which they are started."""
    roles: tuple[str, ...]
    ports: tuple[Port, ...]
    egress: tuple[Egress, ...]
    volumes: Mapping[str, VolumeNeed]
    files: tuple[FileRule, ...]
    signer: Signer | None
    downtime: Downtime | None = None
    """The longest of its parts; None where no part says it."""


@dataclass(frozen=True)
class Kind:
    """One kind of node: its node.yml and the roles it is made of."""

    file: NodeFile
    parts: tuple[NodeFile, ...]
    """What its roles say of themselves: its own node.yml, or those of the kinds that it puts on one server."""
    roles: tuple[Role, ...]
    """`host`, the kind's roles in order of application, then the roles that these import."""
    given: frozenset[str] = frozenset()
    """Variables that a role sets where it imports another: not the operator's to set."""
    software: tuple[Software, ...] = ()
    """The clients that its roles can run."""

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

    @property
    def signer(self) -> SignerRule | None:
        """How nodes of this kind sign; None for those that do not."""
        return next((part.signer for part in self.parts if part.signer), None)

    @property
    def uses(self) -> frozenset[str]:
        """Kinds, or roles of kinds, whose nodes this one may use."""
        return frozenset(name for part in self.parts for name in part.uses)

    @property
    def volume_rules(self) -> dict[str, VolumeRule]:
        """The volumes that a node of this kind can have, by name."""
        return {name: rule for part in self.parts for name, rule in part.volumes.items()}

    @property
    def network_variable(self) -> str | None:
        """The variable that selects the chain network; the same for all parts."""
        return next((part.network_variable for part in self.parts if part.network_variable), None)

    def network(self, variables: Mapping[str, object]) -> str | None:
        """The chain network that these variables (or the role's default) select."""
        name = self.network_variable
        if name is None:
            return None
        default = self.options[name].default if name in self.options else None
        value = variables.get(name, default)
        return value if isinstance(value, str) else None

    def clients(self, variables: Mapping[str, object]) -> tuple[Client, ...]:
        """The programs that a node with these `vars` runs on its network, one a role that has one.

        Raises `StakeyardError` where a variable chooses a client that its role does not have.
        """
        given = {name: option.default for name, option in self.options.items()} | dict(variables)
        network = self.network(variables)
        return tuple(software.client(given, network) for software in self.software)


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
        files = (self.host, *kind.parts)
        given = {name for name, option in kind.options.items() if variables.get(name, option.default)}
        volumes = (need for part in kind.parts for need in volumes_on(part, network, given))
        return Resolved(
            kind=name,
            network=network,
            units=tuple(part.unit for part in kind.parts if part.unit),
            roles=kind.applied,
            ports=tuple(port for file in files for port in ports_on(file, network)),
            egress=tuple(rule for file in files for rule in egress_on(file, network)),
            volumes=MappingProxyType({need.name: need for need in volumes}),
            files=tuple(entry for file in files for entry in file.files),
            signer=next((signer_on(part, network) for part in kind.parts if part.signer), None),
            downtime=downtime_on(kind.parts, network),
        )


def load_catalogue(roles: Path | None = None) -> Catalogue:
    """Every kind under `roles` (default: this repository's). Raises `StakeyardError` naming the file and the key."""
    directory = roles or paths.REPOSITORY / "roles"
    files = {path.parent.name: _node_file(path) for path in sorted(directory.glob("*/node.yml"))}
    host = files.pop(HOST, None)
    if host is None:
        raise StakeyardError(f"{directory / HOST / 'node.yml'}: is missing, and every kind builds on it; restore it.")
    refuse_hidden(directory)
    kinds = {name: _kind(directory, file, files) for name, file in files.items()}
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
    if file.kind != HOST and not file.roles:
        raise StakeyardError(f"{path}: roles: this key is missing; add it.")
    if file.kind in file.roles and not file.unit:
        raise StakeyardError(f"{path}: unit: this key is missing; add it.")
    return file


def _kind(directory: Path, file: NodeFile, files: Mapping[str, NodeFile]) -> Kind:
    for name in file.roles:
        if not (directory / name).is_dir():
            place = directory / file.kind / "node.yml"
            raise StakeyardError(f"{place}: roles: there is no role {shown(name)}; correct it.")
    names, given = roles_used(directory, (HOST, *file.roles))
    parts = tuple(files[name] for name in file.roles if name in files)
    software = tuple(found for part in parts if (found := read_software(directory, part)))
    return Kind(file, parts, tuple(read_role(directory / name) for name in names), given, software)


def _check(path: Path, kind: Kind, host: NodeFile) -> None:
    if kind.name not in kind.file.roles:
        own = sorted(kind.file.model_fields_set - {"kind", "summary", "roles"})
        if own:
            raise StakeyardError(f"{path}: {own[0]}: belongs to a role; write it in the node.yml of one of its roles.")
    for part in ("ports", "egress", "volumes"):
        owners = dict.fromkeys(getattr(host, part), HOST)
        for file in kind.parts:
            for name in getattr(file, part):
                if name in owners:
                    problem = f"the role {owners[name]} has this name already; choose another."
                    raise StakeyardError(f"{path}: {part}.{name}: {problem}")
                owners[name] = file.kind
    named = [("needs.vars", key) for file in kind.parts for key in file.needs.vars]
    named += [(f"volumes.{name}.unless", rule.unless) for name, rule in kind.volume_rules.items() if rule.unless]
    named += [("client", key) for each in kind.software for key in (each.rule.variable, each.rule.release) if key]
    for place, key in named:
        if key not in kind.options:
            raise StakeyardError(f"{path}: {place}: {shown(key)} is no variable of the role; correct it.")
    variable = kind.network_variable
    option = kind.options.get(variable) if variable else None
    for place, values in (entry for file in kind.parts for entry in file.per_network()):
        for network in option.choices if option else ():
            if network not in values:
                raise StakeyardError(f"{path}: {place}: the network {network} is missing; add its value.")
