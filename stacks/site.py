"""The site: one network with its router, the operators' key, placement groups and a security group a kind."""

import pulumi
import pulumi_openstack as openstack

from stacks import firewall
from stacks.catalogue import Catalogue
from stacks.fleet_models import Fleet
from stacks.images import Images


class SecurityGroup(pulumi.ComponentResource):
    """The security group of one kind: the rules of its node.yml and no other, in or out."""

    def __init__(self, name: str, rules: list[firewall.Rule], opts: pulumi.ResourceOptions) -> None:
        """Neutron's own allow-everything egress rules are removed, so what may leave is named too."""
        super().__init__("stakeyard:index:SecurityGroup", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        self.group = openstack.networking.SecGroup(
            name, name=name, description="Made by Stakeyard from node.yml", delete_default_rules=True, opts=child
        )
        for rule in rules:
            openstack.networking.SecGroupRule(
                f"{name}-{rule.name}",
                direction=rule.direction,
                ethertype="IPv4",
                protocol=rule.protocol,
                port_range_min=rule.port,
                port_range_max=rule.port,
                remote_ip_prefix=rule.prefix,
                security_group_id=self.group.id,
                opts=child,
            )
        self.register_outputs({})


class Site(pulumi.ComponentResource):
    """Everything that nodes share."""

    def __init__(self, name: str, fleet: Fleet, catalogue: Catalogue, provider: openstack.Provider) -> None:
        """Make the shared part of `fleet`; `name` is the prefix of everything made."""
        super().__init__("stakeyard:index:Site", name, None, pulumi.ResourceOptions(providers=[provider]))
        child = pulumi.ResourceOptions(parent=self)
        self._prefix = name
        self.network = openstack.networking.Network(name, name=name, admin_state_up=True, opts=child)
        first, last = fleet.network.pool
        self.subnet = openstack.networking.Subnet(
            name,
            name=name,
            network_id=self.network.id,
            cidr=str(fleet.network.cidr),
            ip_version=4,
            gateway_ip=str(fleet.network.gateway),
            allocation_pools=[{"start": str(first), "end": str(last)}],
            dns_nameservers=[str(resolver) for resolver in fleet.network.dns],
            opts=child,
        )
        external = openstack.networking.get_network_output(
            name=fleet.network.external, external=True, opts=pulumi.InvokeOutputOptions(parent=self)
        )
        router = openstack.networking.Router(
            name, name=name, admin_state_up=True, external_network_id=external.id, opts=child
        )
        self.gateway = openstack.networking.RouterInterface(
            name, router_id=router.id, subnet_id=self.subnet.id, opts=child
        )
        # Without the comment: another one would make a new keypair, and so replace every server.
        key = " ".join(fleet.operators.public_key_file.read_text(encoding="utf-8").split()[:2])
        self.keypair = openstack.compute.Keypair(name, name=name, public_key=key, opts=child)
        self.groups = {
            key: openstack.compute.ServerGroup(f"{name}-{key}", name=f"{name}-{key}", policies=group.policy, opts=child)
            for key, group in fleet.groups.items()
        }
        self.security = {
            kind: SecurityGroup(f"{name}-{kind}", firewall.rules(fleet, kind, catalogue), child)
            for kind in sorted({node.kind for node in fleet.nodes.values()})
        }
        self.images = Images(name, fleet.images, child)
        self.register_outputs({})

    def mark(self, name: str) -> str:
        """The name of a node's object in the cloud: with the stack's name, as two stacks may share a project."""
        return f"{self._prefix}-{name}"
