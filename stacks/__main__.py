"""The program: stack file -> fleet -> site -> nodes -> convergence -> verification -> exports."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pulumi
import pulumi_openstack as openstack

# The program of a checkout is made of that checkout's own modules: Pulumi puts only this folder on the path, and the
# installed `stacks`, or one that PYTHONPATH names, may be another checkout's, with other roles.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from stacks import configuration
from stacks.catalogue import load_catalogue
from stacks.errors import StakeyardError
from stacks.fleet import Fleet, load_fleet
from stacks.node import Machine
from stacks.registration import begin_all
from stacks.resources import FleetChecks, has_secrets
from stacks.site import Site
from stacks.variables import Plan, plans

RETRIES = 5
"""How often the plugin asks again where a cloud says that it is asked too much (HTTP 429, with Retry-After)."""


def deploy() -> None:
    """Declare everything that the stack file asks for."""
    catalogue = load_catalogue()
    fleet = load_fleet(configuration.fleet(), catalogue, secrets_in_clear=has_secrets())
    planned = plans(fleet, catalogue)
    cloud = openstack.Provider("cloud", cloud=fleet.cloud, max_retries=RETRIES)
    site = Site(f"stakeyard-{pulumi.get_stack()}", fleet, catalogue, cloud)
    machines = roll_out(fleet, planned, site)
    verified = {kind: verify(kind, machines) for kind in sorted({node.kind for node in fleet.nodes.values()})}
    pulumi.export("nodes", {name: summary(machine) for name, machine in machines.items()})
    pulumi.export("fleet_checks", {kind: checks.checks for kind, checks in verified.items()})


def roll_out(fleet: Fleet, planned: Mapping[str, Plan], site: Site) -> dict[str, Machine]:
    """The nodes, wave by wave: a wave's servers wait for the wave before to have converged."""
    machines: dict[str, Machine] = {}
    before: Sequence[pulumi.Resource] = ()
    for wave in fleet.rollout:
        for name in wave:
            machines[name] = Machine(planned[name], fleet, site, before)
        before = [machines[name].convergence for name in wave]
    return machines


def verify(kind: str, machines: Mapping[str, Machine]) -> FleetChecks:
    """The checks of all nodes of a kind together."""
    members = [(m.plan, m.address, m.convergence) for m in machines.values() if m.node.kind == kind]
    return FleetChecks(kind, members, pulumi.ResourceOptions(depends_on=[m[2] for m in members]))


def summary(machine: Machine) -> dict[str, object]:
    """What the stack exports of a node."""
    done = machine.convergence
    converged = {"host_key": done.host_key, "versions": done.versions, "checks": done.checks}
    return {"kind": machine.node.kind, "address": machine.address, **converged}


try:
    deploy()
except StakeyardError as error:
    raise pulumi.RunError(str(error)) from None
begin_all()
