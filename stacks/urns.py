"""How Pulumi names resources: the type tokens of those that the program declares, and what a URN is made of.

A URN is `urn:pulumi:STACK::PROJECT::TYPES::NAME`; TYPES ends with the resource's own type, after those of its parents.
"""

NETWORK = "openstack:networking/network:Network"
SUBNET = "openstack:networking/subnet:Subnet"
ROUTER = "openstack:networking/router:Router"
ROUTER_INTERFACE = "openstack:networking/routerInterface:RouterInterface"
PORT = "openstack:networking/port:Port"
FLOATING_IP = "openstack:networking/floatingIp:FloatingIp"
FLOATING_IP_ASSOCIATION = "openstack:networking/floatingIpAssociate:FloatingIpAssociate"
SECURITY_GROUP = "openstack:networking/secGroup:SecGroup"
RULE = "openstack:networking/secGroupRule:SecGroupRule"
SERVER = "openstack:compute/instance:Instance"
SERVER_GROUP = "openstack:compute/serverGroup:ServerGroup"
KEYPAIR = "openstack:compute/keypair:Keypair"
VOLUME = "openstack:blockstorage/volume:Volume"
ATTACHMENT = "openstack:compute/volumeAttach:VolumeAttach"
IMAGE = "openstack:images/image:Image"
STASH = "pulumi:index:Stash"

IMAGES = "stakeyard:index:Images"
NODE = "stakeyard:index:Node"
HOST_KEY = "stakeyard:index:HostKey"
CONVERGENCE = "stakeyard:index:Convergence"
FLEET_CHECKS = "stakeyard:index:FleetChecks"
OURS = "stakeyard:index:"
"""What the types of our own resources begin with; the cloud knows nothing of them."""
PROVIDER = "pulumi:providers:openstack"


def type_of(urn: str) -> str:
    """The type of a resource.

    >>> type_of("urn:pulumi:lab::stakeyard::stakeyard:index:Site$openstack:networking/port:Port::a")
    'openstack:networking/port:Port'
    """
    return urn.split("::")[2].rpartition("$")[2]


def name_of(urn: str) -> str:
    """The Pulumi name of a resource, which may have `::` in it.

    >>> name_of("urn:pulumi:lab::stakeyard::stakeyard:index:Node::a::b")
    'a::b'
    """
    return urn.split("::", 3)[3]
