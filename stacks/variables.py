"""What a node is to become: its roles with their digest, its variables, and the files that will be pinned."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from stacks import firewall, role_files
from stacks.catalogue import Catalogue
from stacks.catalogue_networks import Signer
from stacks.fleet_models import Fleet, Node
from stacks.fleet_rules_secrets import secret_variables
from stacks.paths import REPOSITORY


@dataclass(frozen=True)
class Plan:
    """Everything about a node's software that is known before anything is made."""

    name: str
    kind: str
    roles: tuple[str, ...]
    roles_digest: str
    units: tuple[str, ...]
    managed: tuple[Mapping[str, str], ...]
    variables: Mapping[str, object]
    own: tuple[str, ...]
    """Names of the variables that the stack file sets."""
    secret: tuple[str, ...]
    """Names of those that hold a secret, by what the roles say of them."""
    mounts: Mapping[str, str]
    """Where each volume of the stack file is mounted."""
    sizes: Mapping[str, int]
    """How large each of them is, in GiB."""
    throwaway: bool
    cloud: str
    private_key_file: str
    backup: Mapping[str, object] | None
    """Where the last backup of a node goes that retires; as in the stack file."""
    signer: Mapping[str, object] | None
    """For a node that signs: kind, volume (its name), public_keys, uses, silence_epochs and silence_seconds."""

    def hidden(self, encrypted: bool) -> tuple[str, ...]:
        """Names of the variables that nobody is shown.

        Where the stack file has `encrypted` values these are all that it sets, as Pulumi does not say which they are.
        """
        return self.own if encrypted else self.secret


def plans(fleet: Fleet, catalogue: Catalogue, directory: Path = REPOSITORY / "roles") -> dict[str, Plan]:
    """The plan of every node. The files of a kind's roles are read once, however many nodes are of it."""
    kinds = {node.kind for node in fleet.nodes.values()}
    digests = {kind: role_files.digest(catalogue.kind(kind).role_names, directory) for kind in kinds}
    return {
        name: plan(name, node, fleet, catalogue, directory, roles_digest=digests[node.kind])
        for name, node in fleet.nodes.items()
    }


def plan(
    name: str,
    node: Node,
    fleet: Fleet,
    catalogue: Catalogue,
    directory: Path = REPOSITORY / "roles",
    *,
    roles_digest: str | None = None,
) -> Plan:
    """The plan of one node; `roles_digest` is that of its kind's roles, where it is known already."""
    kind = catalogue.kind(node.kind)
    resolved = catalogue.resolve(node.kind, node.vars)
    return Plan(
        name=name,
        kind=node.kind,
        roles=resolved.roles,
        roles_digest=roles_digest or role_files.digest(kind.role_names, directory),
        units=resolved.units,
        managed=tuple(file.model_dump() for file in resolved.files),
        variables=variables(name, node, fleet, catalogue),
        own=tuple(node.vars),
        secret=secret_variables(node, kind),
        mounts={key: resolved.volumes[key].mount for key in node.volumes},
        sizes={key: volume.size_gib for key, volume in node.volumes.items()},
        throwaway=fleet.throwaway,
        cloud=fleet.cloud,
        private_key_file=str(fleet.operators.private_key_file),
        backup=fleet.backup.model_dump(mode="json") if fleet.backup else None,
        signer=signer(node, fleet, resolved.signer) if resolved.signer else None,
    )


def variables(name: str, node: Node, fleet: Fleet, catalogue: Catalogue) -> dict[str, object]:
    """What every host is told, then what the stack file says; volumes are known only when they exist."""
    return {
        "stakeyard_node": name,
        "stakeyard_kind": node.kind,
        "stakeyard_address": str(node.address),
        "stakeyard_network_cidr": str(fleet.network.cidr),
        "stakeyard_operator_ranges": [str(network) for network in fleet.operators.ranges],
        "stakeyard_peers": _named(fleet, node.peers),
        "stakeyard_uses": _named(fleet, node.uses),
        "stakeyard_signing_keys": list(node.signing_keys),
        "stakeyard_backup_recipients": list(fleet.backup.recipients) if fleet.backup else [],
        "stakeyard_ports": [port.as_variable() for port in firewall.open_ports(fleet, node, catalogue)],
        "stakeyard_egress": [rule.as_variable() for rule in firewall.open_egress(fleet, node, catalogue)],
        **node.vars,
    }


def signer(node: Node, fleet: Fleet, rule: Signer) -> dict[str, object]:
    """What the signer's part of a convergence needs to know."""
    return {
        "kind": rule.kind,
        "volume": rule.volume,
        "public_keys": list(node.signing_keys),
        "uses": _named(fleet, node.uses),
        "silence_epochs": rule.silence_epochs,
        "silence_seconds": rule.silence_seconds,
    }


def _named(fleet: Fleet, names: Iterable[str]) -> list[dict[str, str]]:
    return [{"name": name, "address": str(fleet.nodes[name].address)} for name in names]
