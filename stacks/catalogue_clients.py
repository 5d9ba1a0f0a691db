"""The programs that a kind of node runs on its chain's network: which client, which release, which forks it must know.

Read from the folder of the role: node.yml says `client`, the rest is in clients/*.yml, artifacts.yml and the file of
networks that it names.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import AwareDatetime, Field, ValidationError

from stacks.catalogue_models import ClientRule, NodeFile
from stacks.errors import StakeyardError
from stacks.fleet_text import near, sentence
from stacks.fleet_types import Flag, Model, Text, Token
from stacks.fleet_yaml import read_yaml

ARTIFACTS = "artifacts.yml"


class Fork(Model):
    """A fork of one network, and the oldest releases that know it. Facts with their certainty."""

    name: Text
    at: AwareDatetime | None = Field(default=None, description="When it begins; nothing where no date stands.")
    minimum: dict[Token, Text] = Field(default_factory=dict, description="Oldest release by client.")
    certain: Flag = Field(description="Whether the clients' own releases say so; otherwise it is an inference.")
    note: Text = Field(description="Where this is from.")


class NetworkFacts(Model):
    """What a file of networks says of one to policies; the rest of it is for the role alone."""

    minimum: dict[Token, Text] = Field(default_factory=dict)
    forks: tuple[Fork, ...] = ()


@dataclass(frozen=True)
class Manifest:
    """An artifacts.yml as it was read."""

    path: Path
    data: Mapping[str, object]

    def default(self, network: str | None) -> str:
        """The release that it names for a network; empty where it names none."""
        defaults = self.data.get("default")
        found = defaults.get(network) if isinstance(defaults, Mapping) else None
        return found if isinstance(found, str) else ""


@dataclass(frozen=True)
class Client:
    """The program of one role of a node."""

    role: str
    name: str
    network: str | None
    release: str
    """Empty where neither the stack file nor artifacts.yml names one."""
    variable: str
    """The variable that chooses the release."""
    private: bool
    """Whether the network has no strangers on it."""
    manifest: Manifest
    oldest: str | None
    """The oldest release that may run on the network; None where none is known."""
    forks: tuple[Fork, ...]


@dataclass(frozen=True)
class Software:
    """All that one role's folder says of its client."""

    role: str
    rule: ClientRule
    manifests: Mapping[str, Manifest]
    """By client."""
    networks: Mapping[str, NetworkFacts]

    def client(self, variables: Mapping[str, object], network: str | None) -> Client:
        """The client that these variables choose. Raises `StakeyardError` where there is no such client."""
        rule = self.rule
        name = rule.name or variables.get(rule.variable or "")
        if not isinstance(name, str) or name not in self.manifests:
            raise StakeyardError(f"{rule.variable} names no client of {self.role}; {near(str(name), self.manifests)}")
        manifest = self.manifests[name]
        release = variables.get(rule.release)
        facts = self.networks.get(network or "", NetworkFacts())
        return Client(
            role=self.role,
            name=name,
            network=network,
            # An encrypted value is no release that one could look at.
            release=(release or manifest.default(network)) if isinstance(release, str | None) else "(secret)",
            variable=rule.release,
            private=network in rule.private,
            manifest=manifest,
            oldest=facts.minimum.get(name),
            forks=facts.forks,
        )


def read_software(directory: Path, file: NodeFile) -> Software | None:
    """What the folder of the role that `file` describes says of its client; None where it runs none.

    Raises `StakeyardError` naming the file and the key.
    """
    rule, folder = file.client, directory / file.kind
    if rule is None:
        return None
    if rule.name:
        manifests = {rule.name: _manifest(folder / ARTIFACTS)}
    else:
        found = sorted((folder / "clients").glob("*.yml"))
        manifests = {path.stem: _manifest(folder / _named(path, f"{file.kind}_manifest")) for path in found}
        if not manifests:
            raise StakeyardError(f"{folder / 'clients'}: holds no client; add a file for each.")
    networks = _networks((folder / rule.networks).resolve()) if rule.networks else {}
    return Software(file.kind, rule, manifests, networks)


def _named(path: Path, key: str) -> str:
    value = _mapping(path).get(key)
    if not isinstance(value, str):
        raise StakeyardError(f"{path}: {key}: must name the client's file of releases; add it.")
    return value


def _manifest(path: Path) -> Manifest:
    return Manifest(path, _mapping(path))


def _networks(path: Path) -> dict[str, NetworkFacts]:
    found = {}
    for name, value in _mapping(path).items():
        facts = value if isinstance(value, dict) else {}
        known = {key: facts[key] for key in NetworkFacts.model_fields if key in facts}
        try:
            found[name] = NetworkFacts.model_validate(known)
        except ValidationError as error:
            raise StakeyardError(f"{path}: {name}.{sentence(error, known)}") from None
    return found


def _mapping(path: Path) -> dict[str, object]:
    data = read_yaml(path, role=True)
    if not isinstance(data, dict) or not all(isinstance(key, str) for key in data):
        raise StakeyardError(f"{path}: must be a mapping; correct the file.")
    return data
