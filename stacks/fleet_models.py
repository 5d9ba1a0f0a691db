"""The models of a stack file. Their descriptions are its reference (docs/stack-file.md)."""

from ipaddress import IPv4Address
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from stacks.fleet_backup import Backup
from stacks.fleet_policy import Policies
from stacks.fleet_types import (
    Address,
    Count,
    Flag,
    KeyPath,
    Mac,
    Model,
    Name,
    OperatorRange,
    Pin,
    Regex,
    Resolver,
    SiteNetwork,
    Text,
    Token,
)


class Operators(Model):
    """Who may log in, and from where."""

    ranges: Annotated[
        tuple[OperatorRange, ...],
        Field(
            min_length=1,
            max_length=64,
            description="IPv4 ranges that SSH is open to, and nothing else is. A public range is at most a /16.",
        ),
    ]
    public_key_file: KeyPath = Field(
        description="Path of the operators' public SSH key, of the kind ed25519 (also on a hardware token) or RSA with "
        "3072 bits or more; it becomes the cloud's keypair. Another key (not another comment) replaces every server."
    )
    private_key_file: KeyPath = Field(
        description="Path of the private half, readable by its owner only; it never leaves the control machine."
    )


class Network(Model):
    """The site's own network, made by Stakeyard."""

    cidr: SiteNetwork = Field(
        description="The nodes' IPv4 network: private (RFC 1918), from /16 to /28. The first address is the gateway; "
        "the last quarter is left to the cloud's own ports (DHCP)."
    )
    external: Token = Field(description="Name of the cloud's external network: where floating addresses come from.")
    dns: Annotated[
        tuple[Resolver, ...],
        Field(max_length=5, description="Resolvers that the nodes use, at most five; without it, the cloud's own."),
    ] = ()

    @property
    def gateway(self) -> IPv4Address:
        """The router's address: the first of the network."""
        return self.cidr.network_address + 1

    @property
    def pool(self) -> tuple[IPv4Address, IPv4Address]:
        """First and last address of the allocation pool: the last quarter, for DHCP and other ports of the cloud."""
        return self.cidr.network_address + self.cidr.num_addresses * 3 // 4, self.cidr.broadcast_address - 1


class GoldenImage(Model):
    """The image that `stakeyard image build` makes; uploaded under a name with its digest."""

    source: Literal["golden"] = Field(description="`golden`: the image built by Stakeyard.")
    boot: Literal["kernel", "disk", "container", "auto"] = Field(
        description="`disk`: a bootable disk, for any cloud. `kernel`: kernel and initrd beside it, boots faster. "
        "`container`: for an LXC hypervisor. `auto`: `container` where the lab has an LXC hypervisor, else `kernel` "
        "(a loaded fleet never says `auto`)."
    )
    properties: dict[Token, Text] = Field(
        default_factory=dict, description="Further properties of the image in Glance, such as `hw_disk_bus`."
    )


class ExistingImage(Model):
    """An image that the cloud offers; the servers' constant user data names the login user `stakeyard` there too."""

    source: Literal["existing"] = Field(description="`existing`: an image that the cloud already has.")
    name_regex: Regex = Field(description="Regular expression for the image's name; the newest public one is taken.")
    pin: Pin = Field(
        description="`recorded`: the id found at the first `pulumi up` is kept in the state, so that a newer image of "
        "the same name replaces no server. Or the id of one image (a UUID)."
    )


Image = Annotated[GoldenImage | ExistingImage, Field(discriminator="source")]


Policy = Literal["anti-affinity", "affinity", "soft-anti-affinity", "soft-affinity"]


class Group(Model):
    """A server group: which nodes must not share a hypervisor."""

    policy: Policy = Field(description="Placement policy of the members. Open Telekom Cloud has `anti-affinity` only.")
    hosts: Count | None = Field(
        default=None,
        description="Hypervisors that the cloud can place members on, where known: a larger anti-affinity group is "
        "refused before anything runs.",
    )


def _policy_alone(value: Any) -> Any:
    return {"policy": value} if isinstance(value, str) else value


class Volume(Model):
    """A Cinder volume that outlives its server."""

    size_gib: Count = Field(
        description="Size in GiB; at least what the kind asks for on its network. A larger one is taken up while the "
        "node runs; none can become smaller."
    )
    type: Token = Field(description="Volume type of the cloud. Open Telekom Cloud: SAS, GPSSD, SSD or ESSD.")
    metadata: dict[Token, Text] = Field(
        default_factory=dict,
        description="Metadata that the volume is made with; what is written here later is not applied. Open Telekom "
        "Cloud encrypts by `__system__encrypted: '1'` and `__system__cmkid: <id of the KMS key>`, for the volume's "
        "whole life.",
    )


class RootVolume(Model):
    """A server's system disk as a volume: made from the image, and deleted with the server."""

    size_gib: Count = Field(description="Size in GiB; at least what the image needs.")
    type: Token | None = Field(
        default=None,
        description="Volume type of the cloud; without it, the cloud's own choice. Naming one needs the compute API's "
        "version 2.67 (OpenStack Stein).",
    )


class Node(Model):
    """One server with its addresses, volumes and variables."""

    kind: Token = Field(description="Kind of node: a folder of `roles/` with a `node.yml`.")
    address: Address = Field(description="Fixed IPv4 address in `network.cidr`, outside its last quarter.")
    mac: Mac | None = Field(default=None, description="MAC address of the port; without it, the cloud chooses.")
    public_address: Flag = Field(
        default=True,
        description="Whether the node has a floating address; without one the control machine must reach `address`.",
    )
    image: Name = Field(description="One of `images`.")
    flavor: Token = Field(description="Flavor of the cloud, such as `lab.small` or `s3.large.4`.")
    zone: Token = Field(description="Availability zone: one of `zones`.")
    group: Name | None = Field(default=None, description="One of `groups`; without it, placement is the cloud's.")
    root_volume: RootVolume | None = Field(
        default=None,
        description="Boot from a volume instead of the flavor's own disk (flavors of Open Telekom Cloud have none).",
    )
    volumes: dict[Name, Volume] = Field(
        default_factory=dict, description="Volumes by the names that the kind's `node.yml` gives them."
    )
    peers: tuple[Name, ...] = Field(default=(), description="Other nodes of the same kind that this one connects to.")
    uses: tuple[Name, ...] = Field(
        default=(),
        description="Nodes of other kinds whose services this one uses, such as a validator its beacon nodes.",
    )
    signing_keys: tuple[Token, ...] = Field(
        default=(), description="Public ids of the keys that this node signs with; only for kinds that sign, unique."
    )
    vars: dict[Token, object] = Field(
        default_factory=dict, description="Variables of the kind's roles (see their `defaults/main.yml`)."
    )


class Fleet(Model):
    """A whole stack: one site and its nodes."""

    cloud: Token = Field(description="Entry of `clouds.yaml` with the credentials.")
    platform: Literal["openstack", "otc"] = Field(
        default="openstack", description="`otc` adds the rules of Open Telekom Cloud; `openstack` is any other cloud."
    )
    throwaway: Flag = Field(
        default=False, description="True lifts the protection of addresses and volumes: `pulumi destroy` takes all."
    )
    encryption: Literal["required", "optional"] = Field(
        default="optional",
        description="`required`: a volume under `volumes` without encryption metadata is refused (`platform: otc`). "
        "It says nothing of the system disk, which the cloud makes from the image.",
    )
    operators: Operators = Field(description="Who may log in, and from where.")
    network: Network = Field(description="The site's own network.")
    images: dict[Name, Image] = Field(min_length=1, description="Images by name; nodes refer to them.")
    zones: Annotated[tuple[Token, ...], Field(min_length=1, description="Availability zones that nodes may use.")]
    volume_zone: Token | None = Field(
        default=None,
        description="Availability zone of all volumes, on a cloud whose block storage has zones of its own (often one, "
        "`nova`); without it, a volume is in its node's zone.",
    )
    groups: dict[Name, Annotated[Group, BeforeValidator(_policy_alone, json_schema_input_type=Policy | Group)]] = Field(
        default_factory=dict, description="Server groups by name: a policy, or a mapping with `policy` and `hosts`."
    )
    nodes: dict[Name, Node] = Field(min_length=1, max_length=2000, description="The nodes by name.")
    waves: tuple[tuple[Name, ...], ...] = Field(
        default=(),
        description="Order of convergence: a wave starts when the one before is healthy. Names every node once; "
        "without it, all nodes are one wave.",
    )

    backup: Backup | None = Field(
        default=None, description="Backups of the nodes whose kinds have something to back up, such as signers."
    )

    policy: Policies = Field(default_factory=Policies, description="Limits and waivers of the policies.")

    @property
    def rollout(self) -> tuple[tuple[str, ...], ...]:
        """The waves; one with every node where the stack file names none."""
        return self.waves or (tuple(self.nodes),)
