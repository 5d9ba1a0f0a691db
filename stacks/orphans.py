"""How to find and remove, in the cloud, what an interrupted create may have made.

One finder a Pulumi type: most objects are found by name; the few without one by what they join.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from openstack.exceptions import ResourceFailure, ResourceNotFound

from stacks.cancellation import pause
from stacks.errors import StakeyardError
from stacks.signer_metadata import from_metadata
from stacks.urns import (
    ATTACHMENT,
    FLOATING_IP,
    IMAGE,
    KEYPAIR,
    NETWORK,
    PORT,
    ROUTER,
    ROUTER_INTERFACE,
    RULE,
    SECURITY_GROUP,
    SERVER,
    SERVER_GROUP,
    SUBNET,
    VOLUME,
)

MOVING = ("attaching", "detaching", "reserved")
SETTLE_SECONDS = 300
POLL_SECONDS = 2.0


def same_rule(inputs: Mapping[str, Any], rule: Any) -> bool:
    """Whether a security group rule of the cloud is the one that the inputs describe."""
    wanted = (
        inputs.get("direction"),
        inputs.get("ethertype"),
        inputs.get("protocol") or None,
        inputs.get("portRangeMin") or None,
        inputs.get("portRangeMax") or None,
        inputs.get("remoteIpPrefix") or None,
    )
    found = (
        rule.direction,
        rule.ether_type,
        rule.protocol,
        rule.port_range_min,
        rule.port_range_max,
        rule.remote_ip_prefix,
    )
    return wanted == found


@dataclass(frozen=True)
class Orphan:
    """An object in the cloud that an interrupted create left, and how to remove it."""

    what: str
    identifier: str
    created_at: str | None
    delete: Callable[[], object]


def find(cloud: Any, kind: str, inputs: Mapping[str, Any]) -> Iterable[Orphan]:
    """The objects in the cloud that a create of Pulumi type `kind` may have made, known to the state or not."""
    finder = FINDERS.get(kind)
    return finder(cloud, inputs) if finder else []


def _named(
    list_all: Callable[[Any, str], Iterable[Any]], delete: Callable[[Any, Any], object]
) -> Callable[[Any, Mapping[str, Any]], Iterable[Orphan]]:
    def finder(cloud: Any, inputs: Mapping[str, Any]) -> Iterable[Orphan]:
        name = inputs.get("name")
        if not name:
            return
        for found in list_all(cloud, name):
            owner = getattr(found, "project_id", None) or getattr(found, "owner_id", None)
            # With an administrator's rights the API also lists what other projects have.
            if found.name == name and owner in (None, cloud.current_project_id):
                yield Orphan(name, found.id, getattr(found, "created_at", None), partial(delete, cloud, found))

    return finder


def _delete_server(cloud: Any, server: Any) -> None:
    cloud.compute.delete_server(server)
    cloud.compute.wait_for_delete(server, wait=300)


def _delete_volume(cloud: Any, volume: Any) -> None:
    if volume.attachments:
        raise StakeyardError(
            f"volume {volume.name} ({volume.id}) is attached but not in the state: "
            "import it, or detach it by hand and run this again."
        )
    signer = from_metadata(volume.id, volume.metadata or {})
    if signer and (signer.keys or signer.claim.generation):
        # Keys are registered long after a volume was made: it only looks like one of this update.
        raise StakeyardError(
            f"volume {volume.name} ({volume.id}) is not in the state, but keys are registered on it, so it has their "
            "history: import it, or bring the right state back, and run this again."
        )
    # A volume that is still being made cannot be deleted yet; one that failed can.
    with suppress(ResourceFailure):
        cloud.block_storage.wait_for_status(volume, "available", wait=300)
    cloud.block_storage.delete_volume(volume)
    cloud.block_storage.wait_for_delete(volume, wait=300)


def _rules(cloud: Any, inputs: Mapping[str, Any]) -> Iterable[Orphan]:
    for rule in cloud.network.security_group_rules(security_group_id=inputs.get("securityGroupId")):
        if same_rule(inputs, rule):
            yield Orphan(
                "security group rule",
                rule.id,
                rule.created_at,
                partial(cloud.network.delete_security_group_rule, rule),
            )


def _router_interfaces(cloud: Any, inputs: Mapping[str, Any]) -> Iterable[Orphan]:
    router, subnet = inputs.get("routerId"), inputs.get("subnetId")
    for port in cloud.network.ports(device_id=router):
        if port.device_owner.startswith("network:router_interface") and any(
            ip["subnet_id"] == subnet for ip in port.fixed_ips
        ):
            yield Orphan(
                "router interface",
                port.id,
                port.created_at,
                lambda: cloud.network.remove_interface_from_router(router, subnet_id=subnet),
            )


def _floating_ips(cloud: Any, inputs: Mapping[str, Any]) -> Iterable[Orphan]:
    # A floating IP has no name: the program marks each with a description of its own.
    description = inputs.get("description")
    if description:
        for ip in cloud.network.ips(description=description):
            if ip.description != description or ip.project_id != cloud.current_project_id:
                continue  # a cloud that does not know this filter gives all
            what = f"floating IP {ip.floating_ip_address}"
            yield Orphan(what, ip.id, ip.created_at, partial(cloud.network.delete_ip, ip))


def _settle(cloud: Any, volume: Any) -> None:
    """Wait until the volume is no longer on its way: Nova lists an attachment only when Cinder has made it."""
    end = time.monotonic() + SETTLE_SECONDS
    while (status := cloud.block_storage.get_volume(volume).status) in MOVING:
        if time.monotonic() > end:
            raise StakeyardError(
                f"volume {volume} has been {status} for {SETTLE_SECONDS} s: look at it by hand, then run this again."
            )
        pause(POLL_SECONDS)


def _attachments(cloud: Any, inputs: Mapping[str, Any]) -> Iterable[Orphan]:
    server, volume = inputs.get("instanceId"), inputs.get("volumeId")
    try:
        _settle(cloud, volume)
        found = [a for a in cloud.compute.volume_attachments(server) if a.volume_id == volume]
    except ResourceNotFound:
        return
    for _attachment in found:

        def detach() -> None:
            cloud.compute.delete_volume_attachment(server, volume)
            cloud.block_storage.wait_for_status(cloud.block_storage.get_volume(volume), "available", wait=300)

        yield Orphan("volume attachment", f"{server}/{volume}", None, detach)


FINDERS: dict[str, Callable[[Any, Mapping[str, Any]], Iterable[Orphan]]] = {
    NETWORK: _named(lambda c, n: c.network.networks(name=n), lambda c, x: c.network.delete_network(x)),
    SUBNET: _named(lambda c, n: c.network.subnets(name=n), lambda c, x: c.network.delete_subnet(x)),
    ROUTER: _named(lambda c, n: c.network.routers(name=n), lambda c, x: c.network.delete_router(x)),
    PORT: _named(lambda c, n: c.network.ports(name=n), lambda c, x: c.network.delete_port(x)),
    SECURITY_GROUP: _named(
        lambda c, n: c.network.security_groups(name=n), lambda c, x: c.network.delete_security_group(x)
    ),
    SERVER: _named(lambda c, n: c.compute.servers(name=n), _delete_server),
    KEYPAIR: _named(lambda c, _n: c.compute.keypairs(), lambda c, x: c.compute.delete_keypair(x)),
    SERVER_GROUP: _named(lambda c, _n: c.compute.server_groups(), lambda c, x: c.compute.delete_server_group(x)),
    VOLUME: _named(lambda c, n: c.block_storage.volumes(name=n), _delete_volume),
    IMAGE: _named(lambda c, n: c.image.images(name=n), lambda c, x: c.image.delete_image(x)),
    RULE: _rules,
    ROUTER_INTERFACE: _router_interfaces,
    FLOATING_IP: _floating_ips,
    ATTACHMENT: _attachments,
}
