"""The models of roles/<kind>/node.yml: what is true of one kind of node, declared once."""

import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import AfterValidator, Discriminator, Field, Strict, Tag, model_validator

from stacks.fleet_text import refuse, shown
from stacks.fleet_types import Flag, Model, Name, Text, Token

Protocol = Literal["tcp", "udp"]
PortNumber = Annotated[int, Strict(), Field(ge=1, le=65535)]
EgressPort = PortNumber | Literal["any", "same"]
Positive = Annotated[int, Strict(), Field(ge=1)]

T = TypeVar("T")


def _form(value: Any) -> str:
    return "each" if isinstance(value, dict) else "all"


def _mode(value: str) -> str:
    if not re.fullmatch("0[0-7]{3}", value):
        refuse(f"{shown(value)} is not a file mode; write four octal digits in quotes such as '0640'.")
    return value


def _absolute(value: str) -> str:
    if not value.startswith("/") or value != value.strip() or "//" in value or "/../" in f"{value}/":
        refuse(f"{shown(value)} is not an absolute path; write it from /.")
    return value


def _kind_name(value: str) -> str:
    if not re.fullmatch("[a-z][a-z0-9_]*", value):
        refuse(f"{shown(value)} is not a name of a role; use lower-case letters, digits and underscores.")
    return value


def _pattern(value: str) -> str:
    try:
        re.compile(value)
    except re.error as error:
        refuse(f"{shown(value)} is no regular expression ({error}); correct it.")
    return value


# One value for every chain network, or a mapping from network to value.
PerNetwork = Annotated[
    Annotated[T, Tag("all")] | Annotated[dict[Token, T], Field(min_length=1), Tag("each")], Discriminator(_form)
]
KindName = Annotated[str, Strict(), AfterValidator(_kind_name)]
Pattern = Annotated[str, Strict(), AfterValidator(_pattern)]
Mode = Annotated[str, Strict(), AfterValidator(_mode)]
AbsolutePath = Annotated[str, Strict(), AfterValidator(_absolute)]


class PortRule(Model):
    """One port that the node listens on, and who may reach it."""

    protocol: Protocol = Field(description="tcp or udp.")
    port: PerNetwork[PortNumber] = Field(description="Port number, or a mapping from chain network to number.")
    reach: Literal["internet", "site", "peers", "users", "operators", "loopback"] = Field(
        description="Who may reach it: everyone, the site's network, the node's `peers`, the nodes that name it under "
        "`uses`, the operator ranges, or only the host itself (not opened at all)."
    )


class EgressRule(Model):
    """One kind of traffic that the node sends."""

    protocol: Protocol = Field(description="tcp or udp.")
    port: PerNetwork[EgressPort] = Field(
        description="Port number (or a mapping from chain network to number), `any`, or `same`: that of the port of "
        "the same name."
    )
    to: Literal["internet", "site", "peers", "used", "metadata"] = Field(
        description="Where to: everywhere, the site's network, the node's `peers`, the nodes under its `uses`, or the "
        "cloud's metadata service."
    )


class VolumeRule(Model):
    """One volume that the kind can keep its data on."""

    mount: AbsolutePath = Field(description="Where it is mounted.")
    holds: Text = Field(description="What it holds, in a few words.")
    restore: Token = Field(description="How its content comes back when it is lost, such as `resync`.")
    minimum_gib: PerNetwork[Positive] = Field(description="Smallest size in GiB, per network where it differs.")
    required: PerNetwork[Flag] = Field(description="Whether a node of this kind must have it.")
    unless: Token | None = Field(
        default=None,
        description="Variable that keeps the data small where it is neither 0 nor empty, such as one that prunes: the "
        "volume is then not required, and of any size.",
    )


class FileRule(Model):
    """One managed file: checked for owner, group and mode; its content is pinned after convergence."""

    path: AbsolutePath
    owner: Token
    group: Token
    mode: Mode


class RestoreRule(Model):
    """What may come back from a backup, and what never may."""

    safe: tuple[Text, ...] = ()
    never: tuple[Text, ...] = ()


class KeyForm(Model):
    """How the public id of a key is written."""

    pattern: Pattern = Field(description="Regular expression of the whole text.")
    words: Text = Field(description="The same in a few words, such as `a public key of 32 bytes`.")


class NeedsRule(Model):
    """What a node of this kind cannot do without, although a stack file may leave it out."""

    uses: Text | None = Field(
        default=None,
        description="What a node must name under its `uses`, in a few words; not where another role of the kind is it.",
    )
    vars: dict[Token, Text] = Field(
        default_factory=dict, description="Variables that must be given, each with a few words that say what it is."
    )
    checked_by: Token | None = Field(
        default=None,
        description="Python module of the role's folder, whose `problem(name, value)` says why a value will not do.",
    )


class SignerRule(Model):
    """How a node of this kind signs; what is on its key volume is named relative to the mount."""

    volume: Name = Field(description="The volume with the keys, their history and the claim: one of `volumes`.")
    keys: Token = Field(description="Folder of the keys, each in a file named after its public key.")
    history: Token = Field(description="Where the client keeps the history of what it signed.")
    key_form: KeyForm | None = Field(default=None, description="How `signing_keys` are written; in any way without it.")
    silence_epochs: PerNetwork[Positive] = Field(
        description="Epochs for which keys must not have been seen signing before they may start without the history "
        "of their last signer; per network where it differs."
    )
    silence_seconds: PerNetwork[Positive] = Field(description="Seconds of the same; both must have passed.")
    duty_seconds: PerNetwork[Positive] = Field(
        description="Seconds within which every active key must be seen on chain after its client has started; per "
        "network where it differs."
    )


class ClientRule(Model):
    """The program that the role runs on the chain's network, and where its releases and forks are written."""

    name: Token | None = Field(default=None, description="The client's name, for a role that knows one only.")
    variable: Token | None = Field(
        default=None, description="The variable that chooses the client, for a role with a file of clients/ for each."
    )
    release: Token = Field(description="The variable that chooses a release of the client's artifacts.yml.")
    networks: Text | None = Field(
        default=None, description="The file that knows the networks' oldest releases and forks, from the role's folder."
    )
    private: tuple[Token, ...] = Field(
        default=(), description="Networks without strangers, on which releases for labs may run."
    )

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.name is None) == (self.variable is None):
            refuse("must say either name or variable; give one of them.")
        return self


class DowntimeRule(Model):
    """How long a node of this kind is expected to be without its service; what a preview tells its reader."""

    restart_seconds: PerNetwork[Positive] = Field(
        description="Seconds from stopping the service until it works again, with all that its client waits for at "
        "each start; per network where it differs."
    )
    server_seconds: PerNetwork[Positive] = Field(
        description="Seconds of the same when its server is replaced and its volumes move."
    )


class NodeFile(Model):
    """A whole node.yml."""

    kind: KindName
    summary: Text
    roles: tuple[Token, ...] = Field(default=(), description="Roles applied after `host`, in order.")
    unit: Token | None = Field(default=None, description="The systemd unit of the node's main service.")
    network_variable: Token | None = Field(
        default=None, description="The variable that selects the chain network; values may then be given per network."
    )
    client: ClientRule | None = Field(default=None, description="The role's program on the chain's network.")
    signer: SignerRule | None = Field(
        default=None, description="For kinds that sign: where keys and history are. A key is then named once only."
    )
    uses: tuple[Token, ...] = Field(
        default=(), description="Kinds (or roles of kinds) of which a node may name others under `uses`."
    )
    needs: NeedsRule = NeedsRule()
    ports: dict[Name, PortRule] = Field(default_factory=dict)
    volumes: dict[Name, VolumeRule] = Field(default_factory=dict)
    egress: dict[Name, EgressRule] = Field(default_factory=dict)
    files: tuple[FileRule, ...] = ()
    health: dict[Token, object] = Field(default_factory=dict, description="For the kind's own checks alone.")
    restore: RestoreRule = RestoreRule()
    downtime: DowntimeRule | None = Field(default=None, description="Expected downtime; unknown where it is missing.")

    def per_network(self) -> Iterator[tuple[str, dict[str, object]]]:
        """Every value given per network, with its key path."""
        for name, port in self.ports.items():
            yield from _each(f"ports.{name}.port", port.port)
        for name, rule in self.egress.items():
            yield from _each(f"egress.{name}.port", rule.port)
        for name, volume in self.volumes.items():
            yield from _each(f"volumes.{name}.minimum_gib", volume.minimum_gib)
            yield from _each(f"volumes.{name}.required", volume.required)
        if self.signer:
            yield from _each("signer.silence_epochs", self.signer.silence_epochs)
            yield from _each("signer.silence_seconds", self.signer.silence_seconds)
            yield from _each("signer.duty_seconds", self.signer.duty_seconds)
        if self.downtime:
            yield from _each("downtime.restart_seconds", self.downtime.restart_seconds)
            yield from _each("downtime.server_seconds", self.downtime.server_seconds)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.network_variable is None:
            for path, _ in self.per_network():
                refuse(f"{path} is given per network, but there is no network_variable; name the variable.")
        for name, rule in self.egress.items():
            if rule.port == "same" and name not in self.ports:
                refuse(f"egress.{name}.port is same, but there is no ports.{name}; give the number.")
        if self.needs.uses and not self.uses:
            refuse("needs.uses is given, but nodes of this kind use no others; name their kinds under uses.")
        if self.signer and not (
            self.signer.volume in self.volumes and self.volumes[self.signer.volume].required is True
        ):
            refuse(f"signer.volume is {shown(self.signer.volume)}, which is no required volume; add it to volumes.")
        mounts = [volume.mount for volume in self.volumes.values()]
        if len(set(mounts)) < len(mounts):
            refuse("two volumes have the same mount; give each its own.")
        return self


def _each(path: str, value: object) -> Iterator[tuple[str, dict[str, object]]]:
    if isinstance(value, dict):
        yield path, value
