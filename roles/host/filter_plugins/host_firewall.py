"""Address ranges as nftables wants them: no overlaps, one family at a time."""

import ipaddress
from collections.abc import Callable, Iterable
from typing import TypeVar

N = TypeVar("N", ipaddress.IPv4Network, ipaddress.IPv6Network)


def host_ranges(ranges: Iterable[str], version: int = 4) -> list[str]:
    """The ranges of one IP version, overlapping and neighbouring ones merged.

    >>> host_ranges(["10.0.0.0/9", "10.128.0.0/9", "10.1.0.0/16", "fd00::/8"])
    ['10.0.0.0/8']
    """
    networks = [ipaddress.ip_network(text) for text in ranges]
    if version == 4:
        return _merged(network for network in networks if isinstance(network, ipaddress.IPv4Network))
    return _merged(network for network in networks if isinstance(network, ipaddress.IPv6Network))


def _merged(networks: Iterable[N]) -> list[str]:
    return [str(network) for network in ipaddress.collapse_addresses(networks)]


def host_peers(lines: Iterable[str]) -> list[str]:
    """Addresses at the other end of the connections in the output of `ss --no-header --numeric --tcp`.

    >>> host_peers(["0 0 10.0.0.5:22 198.51.100.7:51000", "0 0 [::ffff:10.0.0.5]:22 [::ffff:198.51.100.7]:51002"])
    ['198.51.100.7']
    """
    found = {}
    for line in lines:
        address = ipaddress.ip_address(line.split()[-1].rpartition(":")[0].strip("[]").partition("%")[0])
        found[str(getattr(address, "ipv4_mapped", None) or address)] = True
    return list(found)


def host_admitted(addresses: Iterable[str], ranges: Iterable[str]) -> list[str]:
    """Those of the addresses that are in one of the ranges.

    >>> host_admitted(["198.51.100.7", "203.0.113.1"], ["198.51.100.0/24"])
    ['198.51.100.7']
    """
    networks = [ipaddress.ip_network(text) for text in ranges]
    return [text for text in addresses if any(ipaddress.ip_address(text) in network for network in networks)]


class FilterModule:
    """What Ansible looks for."""

    def filters(self) -> dict[str, Callable[..., object]]:
        """The filters by name."""
        return {"host_ranges": host_ranges, "host_peers": host_peers, "host_admitted": host_admitted}
