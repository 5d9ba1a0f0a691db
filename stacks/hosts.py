"""From a resource's inputs to the host that SSH knows."""

from collections.abc import Mapping
from typing import Any

from stacks.ssh import Host


def host_of(inputs: Mapping[str, Any], node: Mapping[str, Any]) -> Host:
    """The host of `node` (name, host, host_key), reached as the user of `inputs` with its key file."""
    return Host(
        name=str(node["name"]),
        address=str(node["host"]),
        host_key=str(node["host_key"]),
        user=str(inputs["user"]),
        private_key_file=str(inputs["private_key_file"]),
    )


def facts_of(node: Mapping[str, Any]) -> dict[str, Any]:
    """What the fixture `facts` says of a node, from a resource's inputs."""
    variables = node["variables"]
    return {
        "node": node["name"],
        "name": node["name"],
        "kind": node["kind"],
        "host": node["host"],
        "address": variables["stakeyard_address"],
        "variables": variables,
        "ports": variables["stakeyard_ports"],
        "egress": variables["stakeyard_egress"],
        "peers": variables["stakeyard_peers"],
        "volumes": variables.get("stakeyard_volumes", {}),
        "files": node["managed"],
        "units": node["units"],
    }
