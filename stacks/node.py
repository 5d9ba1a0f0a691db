"""One node in three lives: addresses and volumes that stay, a server that may go, and its convergence."""

from collections.abc import Sequence

import pulumi
import pulumi_openstack as openstack

from stacks.fleet_models import Fleet, Node
from stacks.resources import Convergence, HostKey
from stacks.site import Site
from stacks.urns import NODE
from stacks.variables import Plan

# The same for every node and for ever, as a change of it would replace all servers: the login user, and the one
# kind of host key, where an image has other ideas. Everything else is the roles' business.
USER_DATA = """#cloud-config
user: {name: stakeyard}
ssh_genkeytypes: [ed25519]
"""


class Machine(pulumi.ComponentResource):
    """A node of the stack file."""

    def __init__(self, plan: Plan, fleet: Fleet, site: Site, after: Sequence[pulumi.Resource]) -> None:
        """Make the node that `plan` is for; its server waits for the convergences in `after` (the wave before)."""
        name, node = plan.name, fleet.nodes[plan.name]
        super().__init__(NODE, name, None, pulumi.ResourceOptions(parent=site))
        kept = pulumi.ResourceOptions(parent=self, protect=not fleet.throwaway)
        port = self._port(name, node, site, kept)
        volumes = self._volumes(name, node, fleet.volume_zone or node.zone, site, kept)
        address, reachable = self._address(name, fleet, site, port, kept)
        server = self._server(name, node, site, port, after)
        # By the time its key is known, the server has booted: a volume plugged in before can stop an early boot.
        key = HostKey(plan, server.id, pulumi.ResourceOptions(parent=self, delete_before_replace=True))
        attached = [
            openstack.compute.VolumeAttach(
                f"{name}-{volume}",
                instance_id=server.id,
                volume_id=made.id,
                # The server is deleted before its successor is made, and the volume must be free by then.
                opts=pulumi.ResourceOptions(parent=self, depends_on=[key], delete_before_replace=True),
            )
            for volume, made in volumes.items()
        ]
        self.node, self.plan, self.address = node, plan, address
        self.convergence = Convergence(
            plan,
            host=address,
            host_key=key.key,
            server_id=server.id,
            device_ids={volume: made.id for volume, made in volumes.items()},
            opts=pulumi.ResourceOptions(
                parent=self, depends_on=[server, *reachable, *attached, *after], delete_before_replace=True
            ),
        )
        self.register_outputs({"address": address})

    def _port(self, name: str, node: Node, site: Site, opts: pulumi.ResourceOptions) -> openstack.networking.Port:
        return openstack.networking.Port(
            name,
            name=site.mark(name),
            network_id=site.network.id,
            fixed_ips=[{"subnet_id": site.subnet.id, "ip_address": str(node.address)}],
            mac_address=node.mac,
            security_group_ids=[site.security[node.kind].group.id],
            admin_state_up=True,
            opts=opts,
        )

    def _volumes(
        self, name: str, node: Node, zone: str, site: Site, opts: pulumi.ResourceOptions
    ) -> dict[str, openstack.blockstorage.Volume]:
        # Metadata is the stack file's only when a volume is made: the cloud adds its own when it is attached, and a key
        # volume's is where signers are registered (stacks/signer_cloud.py).
        made_once = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(ignore_changes=["metadata"]))
        return {
            key: openstack.blockstorage.Volume(
                f"{name}-{key}",
                name=site.mark(f"{name}-{key}"),
                size=volume.size_gib,
                volume_type=volume.type,
                metadata=volume.metadata,
                availability_zone=zone,
                enable_online_resize=True,
                opts=made_once,
            )
            for key, volume in node.volumes.items()
        }

    def _address(
        self, name: str, fleet: Fleet, site: Site, port: openstack.networking.Port, opts: pulumi.ResourceOptions
    ) -> tuple[pulumi.Output[str], list[pulumi.Resource]]:
        """Where the control machine reaches the node, and what must be there for it."""
        if not fleet.nodes[name].public_address:
            return pulumi.Output.from_input(str(fleet.nodes[name].address)), [site.gateway]
        floating = openstack.networking.FloatingIp(
            name,
            pool=fleet.network.external,
            # A floating address has no name: this is how it is recognised in the cloud.
            description=site.mark(name),
            opts=opts,
        )
        # The association is with the port, so a new server keeps the address.
        association = openstack.networking.FloatingIpAssociate(
            name,
            floating_ip=floating.address,
            port_id=port.id,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[site.gateway]),
        )
        return floating.address, [association]

    def _server(
        self, name: str, node: Node, site: Site, port: openstack.networking.Port, after: Sequence[pulumi.Resource]
    ) -> openstack.compute.Instance:
        image = site.images.ids[node.image]
        root = node.root_volume
        return openstack.compute.Instance(
            name,
            name=site.mark(name),
            image_id=None if root else image,
            block_devices=[
                openstack.compute.InstanceBlockDeviceArgs(
                    uuid=image,
                    source_type="image",
                    destination_type="volume",
                    boot_index=0,
                    volume_size=root.size_gib,
                    volume_type=root.type,  # where it is left away, the plugin can do with an older version of the API
                    delete_on_termination=True,
                )
            ]
            if root
            else None,
            flavor_name=node.flavor,
            availability_zone=node.zone,
            key_pair=site.keypair.name,
            networks=[{"port": port.id}],
            user_data=USER_DATA,
            scheduler_hints=[{"group": site.groups[node.group].id}] if node.group else None,
            opts=pulumi.ResourceOptions(
                parent=self,
                # Without its rules in place, a server could not reach the metadata service at its first boot.
                depends_on=[site.gateway, site.security[node.kind], *after],
                # The port can be plugged into one server only.
                delete_before_replace=True,
                # In place, a new image would be a rebuild that keeps the server's identity and its old host key, and a
                # new flavor a resize that not every hypervisor can do: a new server instead, by the usual way.
                replace_on_changes=["imageId", "flavorName"],
            ),
        )
