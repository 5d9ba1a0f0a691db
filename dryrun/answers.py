"""What a program is told of its resources when there is no engine: every resource is there as its inputs say.

An identifier is made up, and so is the little that the program reads of a resource and the stack file cannot say.
"""

import hashlib
import os
import uuid
from collections.abc import Mapping
from ipaddress import IPv4Address
from typing import Any

STACK = "pulumi:pulumi:Stack"
_SPACE = uuid.UUID("6f1c3a4e-3d0b-5f0e-9c39-5a0f2a7c3b11")
_ADDRESSES = int(IPv4Address("198.18.0.0"))
_ADDRESS_COUNT = 1 << 17
"""198.18.0.0/15 is for benchmarks and never used on the internet (RFC 2544)."""


def made_up(text: str) -> str:
    """An identifier that is the same for the same thing in every run."""
    return str(uuid.uuid5(_SPACE, text))


def address_of(name: str) -> str:
    """A floating address for the node of this name."""
    return str(IPv4Address(_ADDRESSES + uuid.uuid5(_SPACE, name).int % _ADDRESS_COUNT))


# What the cloud fills in by itself, by type. Without it the OpenStack plugin would take it for something that is to be
# added, and for some of these make a new resource.
_IMAGE = {
    "hidden": False,
    "imageCachePath": f"{os.environ.get('HOME', '')}/.terraform/image_cache",
    "metadata": {},
    "minDiskGb": 0,
    "minRamMb": 0,
    "protected": False,
    "visibility": "private",
}
_SERVER = {
    "allMetadata": {},
    "allTags": [],
    "forceDelete": False,
    "powerState": "active",
    "securityGroups": [],
    "stopBeforeDestroy": False,
}
_PLUGGED = {"accessNetwork": False, "fixedIpV4": "", "fixedIpV6": "", "mac": "", "name": "", "uuid": ""}
FILLED_IN: Mapping[str, Mapping[str, Any]] = {
    "openstack:blockstorage/volume:Volume": {"attachments": [], "volumeRetypePolicy": "never"},
    "openstack:compute/instance:Instance": _SERVER,
    "openstack:compute/serverGroup:ServerGroup": {"members": []},
    "openstack:images/image:Image": _IMAGE,
    "openstack:networking/floatingIp:FloatingIp": {"allTags": []},
    "openstack:networking/network:Network": {"allTags": [], "availabilityZoneHints": []},
    "openstack:networking/port:Port": {
        "allFixedIps": [],
        "allSecurityGroupIds": [],
        "allTags": [],
        "dnsAssignments": [],
    },
    "openstack:networking/router:Router": {"allTags": [], "availabilityZoneHints": []},
    "openstack:networking/secGroup:SecGroup": {"allTags": []},
    "openstack:networking/subnet:Subnet": {"allTags": [], "enableDhcp": True, "noGateway": False, "serviceTypes": []},
    "stakeyard:index:Convergence": {"versions": {}, "checks": [], "files": {}, "drift": [], "revision": "mocked"},
    "stakeyard:index:FleetChecks": {"checks": [], "drift": []},
    "stakeyard:index:HostKey": {"key": "(host key of a mocked server)"},
}


def outputs_of(kind: str, name: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """What a resource of type `kind` would have once it is made, as far as the program or a plugin reads it."""
    found = {**FILLED_IN.get(kind, {}), **inputs}
    if kind == "openstack:networking/floatingIp:FloatingIp":
        found["address"] = address_of(name)
    if kind == "openstack:compute/instance:Instance":
        found["networks"] = [{**_PLUGGED, **network} for network in inputs["networks"]]
        # The plugin keeps no more of it.
        found["userData"] = hashlib.sha1(inputs["userData"].encode()).hexdigest()  # noqa: S324
    if kind == "pulumi:index:Stash":
        found["output"] = inputs["input"]
    return found


def urn_of(stack: str, project: str, parent: str, kind: str, name: str) -> str:
    """The URN that the engine would give."""
    above = parent.split("::")[2] if parent else ""
    qualified = kind if above in ("", STACK) else f"{above}${kind}"
    return f"urn:pulumi:{stack}::{project}::{qualified}::{name}"


def found_by(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """What the cloud says of what the program looks up; the stand-in for it (stacks/preview/stand_in.py) says the same.

    An identifier made of what was asked for.
    """
    return {"id": made_up(str(arguments.get("name") or arguments.get("nameRegex")))}
