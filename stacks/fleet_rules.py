"""What must hold between the keys of a stack file. Each rule raises on the first thing that breaks it."""

from ipaddress import IPv4Address

from stacks.catalogue import Catalogue
from stacks.encryption import ENCRYPTED, KEY_ID, by_metadata
from stacks.fleet_machine import Machine, check_keys
from stacks.fleet_models import Fleet, GoldenImage, Volume
from stacks.fleet_rules_nodes import check_kinds
from stacks.fleet_text import near, refusal, shown
from stacks.policy.rules import BY_ID

OTC_EXTERNAL = "admin_external_net"
OTC_ROOT_GIB = 10
"""What the cloud's Debian image asks for; its flavors have no disk of their own."""
OTC_VOLUME_GIB = 10
"""The smallest data disk of its Elastic Volume Service."""
OTC_VOLUME_TYPES = ("SATA", "SAS", "GPSSD", "SSD", "ESSD", "co-p1", "uh-l1")


def check(fleet: Fleet, catalogue: Catalogue, machine: Machine) -> None:
    """Apply every rule, from the site inwards; key files last, as they depend on the machine."""
    _operators(fleet)
    _platform(fleet)
    _addresses(fleet)
    _placement(fleet)
    _encryption(fleet)
    check_kinds(fleet, catalogue)
    _waves(fleet)
    _waivers(fleet)
    check_keys(fleet, machine)


def _operators(fleet: Fleet) -> None:
    ranges = fleet.operators.ranges
    for index, here in enumerate(ranges):
        path = f"operators.ranges[{index}]"
        for other in ranges[:index]:
            if here == other:
                raise refusal(path, f"{here} is there twice; keep one of them.")
            if here.overlaps(other):
                raise refusal(path, f"{here} overlaps {other}; keep the one that is meant.")
        if here.overlaps(fleet.network.cidr):
            raise refusal(
                path,
                f"{here} overlaps network.cidr {fleet.network.cidr}, so answers would never leave the site; "
                "choose another network.cidr.",
            )
    for index, resolver in enumerate(fleet.network.dns):
        if resolver in fleet.network.dns[:index]:
            raise refusal(f"network.dns[{index}]", f"{resolver} is there twice; keep one of them.")


def _platform(fleet: Fleet) -> None:
    if fleet.platform != "otc":
        if fleet.encryption == "required":
            raise refusal(
                "encryption",
                "required can be checked on platform otc only, as other clouds encrypt by volume type; remove this key "
                "and choose an encrypted type.",
            )
        return
    if fleet.network.external != OTC_EXTERNAL:
        raise refusal(
            "network.external",
            f"{shown(fleet.network.external)} does not exist on Open Telekom Cloud; write {OTC_EXTERNAL}.",
        )
    for name, image in fleet.images.items():
        if isinstance(image, GoldenImage) and image.boot != "disk":
            raise refusal(f"images.{name}.boot", f"{image.boot} does not work on Open Telekom Cloud; write disk.")
    for name, group in fleet.groups.items():
        if group.policy != "anti-affinity":
            raise refusal(f"groups.{name}", f"Open Telekom Cloud has no {group.policy} groups; write anti-affinity.")
    _system_disks(fleet)
    for path, volume in _volumes(fleet):
        if volume.size_gib < OTC_VOLUME_GIB:
            raise refusal(
                f"{path}.size_gib",
                f"{volume.size_gib} GiB is less than Open Telekom Cloud makes; use at least {OTC_VOLUME_GIB}.",
            )
    types: dict[str, str] = {path: volume.type for path, volume in _volumes(fleet)}
    types |= {
        f"nodes.{name}.root_volume": node.root_volume.type
        for name, node in fleet.nodes.items()
        if node.root_volume and node.root_volume.type
    }
    for path, kind in types.items():
        if kind not in OTC_VOLUME_TYPES:
            problem = f"{shown(kind)} is no volume type of Open Telekom Cloud; {near(kind, OTC_VOLUME_TYPES)}"
            raise refusal(f"{path}.type", problem)


def _system_disks(fleet: Fleet) -> None:
    for name, node in fleet.nodes.items():
        root = node.root_volume
        if root is None:
            raise refusal(
                f"nodes.{name}.root_volume",
                f"flavors of Open Telekom Cloud have no disk of their own; add one of at least {OTC_ROOT_GIB} GiB.",
            )
        if root.size_gib < OTC_ROOT_GIB:
            raise refusal(
                f"nodes.{name}.root_volume.size_gib",
                f"{root.size_gib} GiB is too small for a system disk; use at least {OTC_ROOT_GIB}.",
            )


def _volumes(fleet: Fleet) -> list[tuple[str, Volume]]:
    return [
        (f"nodes.{name}.volumes.{key}", volume)
        for name, node in fleet.nodes.items()
        for key, volume in node.volumes.items()
    ]


def _addresses(fleet: Fleet) -> None:
    network = fleet.network
    first, last = network.pool
    free = f"{network.gateway + 1} to {first - 1}"
    taken: dict[IPv4Address, str] = {}
    macs: dict[str, str] = {}
    for name, node in fleet.nodes.items():
        path, address = f"nodes.{name}.address", node.address
        if address not in network.cidr:
            raise refusal(path, f"{address} is outside network.cidr {network.cidr}; choose an address inside it.")
        reserved = {
            network.cidr.network_address: "the network's own address",
            network.cidr.broadcast_address: "the network's broadcast address",
            network.gateway: "the gateway's address",
        }
        if address in reserved:
            raise refusal(
                path, f"{address} is {reserved[address]}; choose one from {network.gateway + 1} to {first - 1}."
            )
        if first <= address <= last:
            raise refusal(
                path,
                f"{address} is in the part of the network left to the cloud ({first} to {last}); "
                f"choose one from {free}.",
            )
        if address in taken:
            raise refusal(path, f"{address} is the address of {taken[address]} too; give each node its own.")
        taken[address] = name
        if node.mac and node.mac in macs:
            raise refusal(f"nodes.{name}.mac", f"{node.mac} is that of {macs[node.mac]} too; give each node its own.")
        if node.mac:
            macs[node.mac] = name


def _placement(fleet: Fleet) -> None:
    for index, zone in enumerate(fleet.zones):
        if zone in fleet.zones[:index]:
            raise refusal(f"zones[{index}]", f"{shown(zone)} is there twice; keep one of them.")
    for name, node in fleet.nodes.items():
        path = f"nodes.{name}"
        if node.image not in fleet.images:
            raise refusal(f"{path}.image", f"{shown(node.image)} is not in images; {near(node.image, fleet.images)}")
        if node.zone not in fleet.zones:
            raise refusal(f"{path}.zone", f"{shown(node.zone)} is not in zones; {near(node.zone, fleet.zones)}")
        if node.group and node.group not in fleet.groups:
            remedy = near(node.group, fleet.groups) if fleet.groups else "declare it under groups."
            raise refusal(f"{path}.group", f"{shown(node.group)} is not in groups; {remedy}")
        image = fleet.images[node.image]
        if node.root_volume and isinstance(image, GoldenImage) and image.boot != "disk":
            raise refusal(
                f"{path}.root_volume",
                f"an image that boots by {image.boot} cannot boot from a volume; use an image with boot: disk.",
            )
    zones: dict[str, list[str]] = {name: [] for name in fleet.groups}
    for node in fleet.nodes.values():
        if node.group:
            zones[node.group].append(node.zone)
    for name, group in fleet.groups.items():
        members = zones[name]
        if group.policy == "anti-affinity" and group.hosts is not None and len(members) > group.hosts:
            raise refusal(
                f"groups.{name}",
                f"{len(members)} nodes need a host each, but the cloud has {group.hosts}; take nodes out of the group.",
            )
        if group.policy == "affinity" and len(set(members)) > 1:
            raise refusal(f"groups.{name}", "its nodes must share a host but their zones differ; put them in one zone.")


def _encryption(fleet: Fleet) -> None:
    if fleet.encryption != "required":
        return
    for path, volume in _volumes(fleet):
        if not by_metadata(volume.metadata):
            raise refusal(
                f"{path}.metadata",
                f"encryption is required; set {ENCRYPTED} to '1' and {KEY_ID} to the id of a KMS key.",
            )


def _waves(fleet: Fleet) -> None:
    seen: dict[str, int] = {}
    for index, wave in enumerate(fleet.waves):
        if not wave:
            raise refusal(f"waves[{index}]", "is an empty wave; remove it.")
        for place, name in enumerate(wave):
            path = f"waves[{index}][{place}]"
            if name not in fleet.nodes:
                raise refusal(path, f"{shown(name)} is not in nodes; {near(name, fleet.nodes)}")
            if name in seen:
                raise refusal(path, f"{name} is in wave {seen[name] + 1} already; name each node once.")
            seen[name] = index
    missing = [name for name in fleet.nodes if name not in seen]
    if fleet.waves and missing:
        raise refusal("waves", f"{missing[0]} is in no wave; name each node once.")


def _waivers(fleet: Fleet) -> None:
    for index, waiver in enumerate(fleet.policy.waivers):
        path = f"policy.waivers[{index}].rule"
        if waiver.rule not in BY_ID:
            known = [rule.id for rule in BY_ID.values() if rule.waivable]
            raise refusal(path, f"{shown(waiver.rule)} is no rule; {near(waiver.rule, known, 'docs/policies.md')}")
        if not BY_ID[waiver.rule].waivable:
            raise refusal(path, f"{waiver.rule} cannot be waived; settle the waiver that it is about.")
