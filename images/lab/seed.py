"""What a new lab cloud offers: catalogue, project and user, flavors, the external network, the volume type."""

import logging
import time
from typing import cast

import keystoneauth1.exceptions
import openstack
from openstack.connection import Connection
from openstack.identity.v3._proxy import Proxy as Identity

from images.lab import settings as names
from images.lab.credentials import Passwords
from images.lab.settings import Settings
from stacks.errors import StakeyardError

# It warns of every attempt to reach an API that is not up yet, which is what waiting looks like.
logging.getLogger("keystoneauth").setLevel(logging.CRITICAL)


def connect(settings: Settings, passwords: Passwords, admin: bool = True) -> Connection:
    """A connection as Keystone's administrator or as the lab's ordinary user; made without any file."""
    return openstack.connect(
        load_yaml_config=False,
        load_envvars=False,
        auth={
            "auth_url": f"http://{settings.controller}:5000/v3",
            "username": "admin" if admin else names.PROJECT,
            "password": passwords.admin if admin else passwords.user,
            "project_name": "admin" if admin else names.PROJECT,
            "user_domain_name": "Default",
            "project_domain_name": "Default",
        },
        region_name=names.REGION,
        api_timeout=60,
    )


def await_keystone(settings: Settings, passwords: Passwords, seconds: float = 600) -> Connection:
    """A connection, once Keystone gives out a token."""
    limit = time.monotonic() + seconds
    while True:
        connection = connect(settings, passwords)
        try:
            connection.authorize()
        except (openstack.exceptions.SDKException, keystoneauth1.exceptions.ClientException) as error:
            connection.close()
            if time.monotonic() > limit:
                raise StakeyardError(f"Keystone gave no token within {seconds:.0f} s: {error}.") from error
            time.sleep(1)
        else:
            return connection


def catalogue(connection: Connection, settings: Settings, passwords: Passwords) -> None:
    """Service users with their roles, endpoints, and the project that people use. May run again."""
    identity = cast(Identity, connection.identity)
    service = identity.find_project("service") or identity.create_project(name="service", domain_id="default")
    roles = {role.name: role for role in identity.roles()}
    if "service" not in roles:
        roles["service"] = identity.create_role(name="service")
    host = f"http://{settings.controller}"
    for user_name, service_name, kind, url in (
        ("glance", "glance", "image", f"{host}:9292"),
        ("placement", "placement", "placement", f"{host}:8778"),
        ("nova", "nova", "compute", f"{host}:8774/v2.1"),
        ("neutron", "neutron", "network", f"{host}:9696"),
        ("cinder", "cinderv3", "volumev3", f"{host}:8776/v3/%(project_id)s"),
    ):
        user = identity.find_user(user_name) or identity.create_user(
            name=user_name, password=passwords.service, domain_id="default"
        )
        for role in ("admin", "service"):
            identity.assign_project_role_to_user(service, user, roles[role])
        entry = identity.find_service(service_name) or identity.create_service(name=service_name, type=kind)
        present = {endpoint.interface for endpoint in identity.endpoints(service_id=entry.id)}
        for interface in {"public", "internal", "admin"} - present:
            identity.create_endpoint(service_id=entry.id, interface=interface, url=url, region_id=names.REGION)
    project = identity.find_project(names.PROJECT) or identity.create_project(name=names.PROJECT, domain_id="default")
    person = identity.find_user(names.PROJECT) or identity.create_user(
        name=names.PROJECT, password=passwords.user, domain_id="default", default_project_id=project.id
    )
    identity.assign_project_role_to_user(project, person, roles["member"])


def await_services(connection: Connection, seconds: float = 600) -> None:
    """Return when each API answers a simple question."""
    questions = (
        lambda: list(connection.compute.flavors(limit=1)),
        lambda: list(connection.network.networks()),
        lambda: list(connection.block_storage.types()),
        lambda: list(connection.image.images(limit=1)),
    )
    limit = time.monotonic() + seconds
    for question in questions:
        while True:
            try:
                question()
                break
            except (openstack.exceptions.SDKException, keystoneauth1.exceptions.ClientException) as error:
                if time.monotonic() > limit:
                    message = f"The lab's services did not all answer in {seconds:.0f} s: {error}."
                    raise StakeyardError(message) from error
                time.sleep(1)


def offers(connection: Connection, settings: Settings) -> None:
    """Flavors, external network with its floating addresses, volume type. May run again."""
    compute, network = connection.compute, connection.network
    for name, (vcpus, memory, disk) in names.FLAVORS.items():
        flavor = compute.find_flavor(name) or compute.create_flavor(name=name, vcpus=vcpus, ram=memory, disk=disk)
        compute.create_flavor_extra_specs(flavor, {"hw_rng:allowed": "True"})
    external = network.find_network(names.EXTERNAL_NETWORK) or network.create_network(
        name=names.EXTERNAL_NETWORK,
        is_router_external=True,
        provider_network_type="flat",
        provider_physical_network="public",
    )
    subnet = f"{names.EXTERNAL_NETWORK}-v4"
    if not network.find_subnet(subnet):
        network.create_subnet(
            name=subnet,
            network_id=external.id,
            ip_version=4,
            cidr=str(settings.network),
            gateway_ip=settings.gateway,
            is_dhcp_enabled=False,
            allocation_pools=[{"start": settings.address(100), "end": settings.address(199)}],
        )
    storage = connection.block_storage
    if not storage.find_type(names.VOLUME_TYPE):
        storage.create_type(name=names.VOLUME_TYPE, extra_specs={"volume_backend_name": names.VOLUME_TYPE})
