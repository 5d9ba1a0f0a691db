"""What a stack has in the cloud, found by the stack's name in names and descriptions."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from openstack.exceptions import ResourceFailure, ResourceNotFound, SDKException


def _items(cloud: Any) -> Iterator[tuple[str, Any, Callable[[Any], object]]]:
    """Everything in the project in an order in which it can be deleted: (what, object, how to delete it)."""

    def delete_server(server: Any) -> None:
        cloud.compute.delete_server(server)
        cloud.compute.wait_for_delete(server, wait=300)

    def delete_volume(volume: Any) -> None:
        with suppress(ResourceFailure):
            cloud.block_storage.wait_for_status(volume, "available", wait=300)
        cloud.block_storage.delete_volume(volume)
        cloud.block_storage.wait_for_delete(volume, wait=300)

    def delete_router(router: Any) -> None:
        for port in cloud.network.ports(device_id=router.id):
            if port.device_owner.startswith("network:router_interface"):
                cloud.network.remove_interface_from_router(router, port_id=port.id)
        cloud.network.delete_router(router)

    def own_images() -> Iterator[Any]:  # a public image of another project is listed too, and is not ours to delete
        yield from cloud.image.images(owner=cloud.current_project_id)

    for lister, what, delete in (
        (cloud.compute.servers, "server", delete_server),
        (cloud.block_storage.volumes, "volume", delete_volume),
        (cloud.network.ips, "floating IP", cloud.network.delete_ip),
        (cloud.network.routers, "router", delete_router),
        (cloud.network.ports, "port", cloud.network.delete_port),
        (cloud.network.networks, "network", cloud.network.delete_network),
        (cloud.network.security_groups, "security group", cloud.network.delete_security_group),
        (cloud.compute.server_groups, "server group", cloud.compute.delete_server_group),
        (cloud.compute.keypairs, "keypair", cloud.compute.delete_keypair),
        (own_images, "image", cloud.image.delete_image),
    ):
        for item in list(lister()):
            yield what, item, delete


def _belongs(item: Any, stack: str) -> bool:
    mark = f"stakeyard-{stack}"
    said = (getattr(item, "name", "") or "", getattr(item, "description", "") or "")
    return any(text == mark or text.startswith(f"{mark}-") for text in said)


def of(cloud: Any, stack: str) -> dict[str, str]:
    """Identifier -> `what name` of all that the stack has in the cloud."""
    return {
        item.id: f"{what} {item.name or item.description}" for what, item, _ in _items(cloud) if _belongs(item, stack)
    }


def sweep(cloud: Any, stack: str) -> None:
    """Delete all that the stack has in the cloud: what a test run that was killed has left."""
    for _what, item, delete in _items(cloud):
        if _belongs(item, stack):
            try:
                delete(item)
            except ResourceNotFound:
                continue
            except SDKException as error:
                raise AssertionError(f"{item.name} of an earlier run cannot be deleted: {error}") from error
