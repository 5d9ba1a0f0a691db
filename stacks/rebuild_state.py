"""What Pulumi's state says of one node: its resources, its server, its volumes and its convergence."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from stacks.errors import StakeyardError
from stacks.signer import Signed, fingerprints
from stacks.urns import CONVERGENCE, HOST_KEY, NODE, PORT, SERVER, VOLUME, name_of, type_of


@dataclass(frozen=True)
class Target:
    """One node in a stack's state. Identifiers are the cloud's."""

    node: str
    resources: tuple[str, ...]
    """URNs of everything that belongs to the node, in the state's order."""
    server: str | None
    """None: the state has no server of it, as after a refresh that found it gone."""
    server_urn: str
    volumes: Mapping[str, str]
    """Volumes by their Pulumi name."""
    inputs: Mapping[str, Any] = field(repr=False)
    """Of its convergence."""
    converged_on: str | None = None
    """The server that its last complete convergence was for."""
    project: str | None = None
    """The cloud's project that its resources are in; None where the state does not say."""
    signed: Signed | None = None
    """Which server signed last; None where the state knows of none whose keys were started with success, which is so
    until the first update by a version that notes it."""
    checks: tuple[Mapping[str, str], ...] = ()
    seeded: Mapping[str, Any] | None = None
    """Why keys were allowed to start on this server without their history; None where all of them had it."""
    booted: float | None = None
    """When the server's host key was first read (seconds since 1970): it had booted."""

    @property
    def key_volume(self) -> str | None:
        """The volume with the keys; None for a node that does not sign."""
        signer = self.inputs.get("signer")
        return str(signer["volume_id"]) if signer else None

    @property
    def keys(self) -> frozenset[str]:
        """Fingerprints of the keys that it signs with."""
        signer = self.inputs.get("signer")
        return fingerprints(signer["public_keys"]) if signer else frozenset()

    @property
    def in_cloud(self) -> tuple[str, ...]:
        """The resources that the cloud knows: a look at the others would be a look into the host."""
        return tuple(urn for urn in self.resources if type_of(urn).startswith("openstack:"))

    @property
    def cloud(self) -> str:
        """Its entry in clouds.yaml."""
        return str(self.inputs["cloud"])


def target(deployment: Mapping[str, Any], node: str) -> Target:
    """The node in a `pulumi stack export`. Raises StakeyardError where it was never there, or never converged."""
    resources = [each for each in deployment["deployment"].get("resources") or () if not each.get("delete")]
    parents = {each["urn"]: each.get("parent", "") for each in resources}
    components = [urn for urn in parents if type_of(urn) == NODE]
    root = next((urn for urn in components if name_of(urn) == node), None)
    if root is None:
        known = ", ".join(sorted(map(name_of, components))) or "no node at all"
        raise StakeyardError(f"the stack has no node {node}: it has {known}; run `stakeyard pulumi up` for a new one.")
    own = [each for each in resources if _below(each["urn"], root, parents)]
    convergence = _one(own, CONVERGENCE)
    if convergence is None:
        raise StakeyardError(
            f"{node} has never been converged: there is nothing to rebuild; run `stakeyard pulumi up`."
        )
    server, key, port = _one(own, SERVER), _one(own, HOST_KEY), _one(own, PORT)
    inputs = convergence.get("inputs") or {}
    outputs = convergence.get("outputs") or {}
    finished = not convergence.get("initErrors")
    return Target(
        node=node,
        resources=tuple(each["urn"] for each in own),
        # Between its end and its successor's beginning, a server is in the state without being anywhere else.
        server=server["id"] if server and not server.get("pendingReplacement") else None,
        server_urn=server["urn"] if server else f"{root.rpartition('::')[0]}${SERVER}::{node}",
        volumes={name_of(each["urn"]): each["id"] for each in own if each["type"] == VOLUME},
        inputs=inputs,
        converged_on=str(inputs.get("server_id")) if finished else None,
        # Of what a node has, Neutron alone says whose it is.
        project=((port or {}).get("outputs") or {}).get("tenantId") or None,
        # Not from the inputs, where an older version kept no such output: a refused update leaves its server and its
        # keys there, and after a refresh Pulumi takes it for finished.
        signed=Signed.of(outputs.get("signed")),
        checks=tuple(outputs.get("checks") or ()),
        seeded=outputs.get("seeded"),
        booted=_moment(key.get("created")) if key else None,
    )


def _below(urn: str, root: str, parents: Mapping[str, str]) -> bool:
    while urn:
        if urn == root:
            return True
        urn = parents.get(urn, "")
    return False


def _one(resources: Iterable[Mapping[str, Any]], kind: str) -> Mapping[str, Any] | None:
    return next((each for each in resources if each["type"] == kind), None)


def _moment(text: str | None) -> float | None:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() if text else None
