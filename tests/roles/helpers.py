"""What a test of roles says to the program's own parts: the variables of a host, its convergence, its checks."""

from collections.abc import Mapping, Sequence
from typing import Any

from stacks import runner, verification
from stacks.catalogue import load_catalogue
from stacks.verification import Check
from tests.roles.machine import GATEWAY, NETWORK, Machine

OPERATORS = f"{GATEWAY}/32"
INTERNET = "0.0.0.0/0"


def variables(machine: Machine, kind: str = "bitcoin", **more: Any) -> dict[str, Any]:
    """What the program gives every host, for a node that opens SSH alone and may ask for names and time."""
    return {
        "stakeyard_node": machine.name,
        "stakeyard_kind": kind,
        "stakeyard_address": machine.address,
        "stakeyard_network_cidr": NETWORK,
        "stakeyard_operator_ranges": [OPERATORS],
        "stakeyard_peers": [],
        "stakeyard_volumes": {},
        "stakeyard_ports": [{"name": "ssh", "protocol": "tcp", "port": 22, "sources": [OPERATORS]}],
        "stakeyard_egress": [
            {"name": "dns", "protocol": "udp", "port": 53, "destinations": [INTERNET]},
            {"name": "metadata", "protocol": "tcp", "port": 80, "destinations": ["169.254.169.254/32"]},
        ],
        **more,
    }


def converge(
    machine: Machine, roles: Sequence[str], given: Mapping[str, object], *, check: bool = False
) -> runner.RunResult:
    """Apply roles as `pulumi up` does."""
    return runner.converge(machine.ssh, roles, given, lambda line: print(line, flush=True), check=check)


def verify(machine: Machine, roles: Sequence[str], given: Mapping[str, object], **more: object) -> dict[str, Check]:
    """The roles' own checks of one node, by name."""
    facts = {
        "node": machine.name,
        "name": machine.name,
        "kind": given["stakeyard_kind"],
        "host": machine.address,
        "address": machine.address,
        "variables": given,
        "ports": given["stakeyard_ports"],
        "egress": given["stakeyard_egress"],
        "peers": given["stakeyard_peers"],
        "volumes": {},
        "files": host_files(),
        **more,
    }
    found = verification.run(
        machine.session,
        verification.check_files(roles, "node"),
        {**facts, "nodes": [facts]},
        lambda line: print(line, flush=True),
    )
    for left in ("facts.json", "pytest.ini", "pytest.log"):
        (machine.session.directory / left).unlink(missing_ok=True)
    return {check.name: check for check in found}


def failed(checks: Mapping[str, Check]) -> list[str]:
    """Names of the checks that did not pass."""
    return [name for name, check in checks.items() if check.outcome != "passed"]


def host_files() -> list[dict[str, str]]:
    """The files that roles/host/node.yml declares."""
    return [file.model_dump() for file in load_catalogue().host.files]
