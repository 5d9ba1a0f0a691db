"""What the lab refuses before it starts, each with one sentence that says what to do."""

import dataclasses
import ipaddress
from typing import Any

import pytest

from images.lab import host, preflight
from images.lab.host import HostFacts, Interface
from images.lab.settings import settings
from stacks.errors import StakeyardError

GIB = 1 << 30
GOOD = HostFacts("Linux", 0, 24 * GIB, 60 * GIB, (), (Interface("eth0", ipaddress.IPv4Network("192.0.2.0/24")),))
LAB = settings({})


def test_a_good_machine_passes() -> None:
    preflight.check_system(GOOD)
    preflight.check_room(GOOD, LAB, made=False)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"system": "Darwin"}, "needs Linux, and this is Darwin"),
        ({"uid": 1000}, "needs root"),
        ({"missing_programs": ("nft", "mmdebstrap")}, "apt-get install mmdebstrap nftables"),
    ],
)
def test_a_machine_that_can_never_run_a_lab_is_refused(change: dict[str, object], words: str) -> None:
    with pytest.raises(StakeyardError, match=words):
        preflight.check_system(dataclasses.replace(GOOD, **change))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"memory_available": 7 * GIB}, "needs 8 GiB of available memory and this machine has 7.0"),
        ({"disk_free": 11 * GIB}, "needs 12 GiB of disk"),
        ({"networks": (Interface("wg0", ipaddress.IPv4Network("172.31.0.0/16")),)}, "overlaps 172.31.0.0/16 of .* wg0"),
        ({"networks": (Interface("eth1", ipaddress.IPv4Network("172.31.240.128/25")),)}, "STAKEYARD_LAB_NETWORK"),
        (
            {"networks": (Interface("", ipaddress.IPv4Network("172.31.240.64/26")),)},
            "64/26 of a route that leads nowhere",
        ),
    ],
)
def test_a_machine_without_room_is_refused(change: dict[str, object], words: str) -> None:
    with pytest.raises(StakeyardError, match=words):
        preflight.check_room(dataclasses.replace(GOOD, **change), LAB, made=False)  # type: ignore[arg-type]


def test_a_lab_that_is_made_already_needs_less_disk() -> None:
    small = dataclasses.replace(GOOD, disk_free=4 * GIB)
    preflight.check_room(small, LAB, made=True)
    with pytest.raises(StakeyardError, match="disk"):
        preflight.check_room(small, LAB, made=False)


def test_the_lab_s_own_bridge_is_not_in_its_way() -> None:
    own = dataclasses.replace(GOOD, networks=(Interface(LAB.bridge, LAB.network),))
    preflight.check_room(own, LAB, made=True)


def test_a_wider_route_that_leads_nowhere_is_not_in_its_way() -> None:
    private = dataclasses.replace(GOOD, networks=(Interface("", ipaddress.IPv4Network("172.16.0.0/12")),))
    preflight.check_room(private, LAB, made=True)


MANY_PATHS = [{"gateway": "10.1.0.1", "dev": "d1", "weight": 1}, {"gateway": "10.2.0.1", "dev": "d0", "weight": 1}]


def test_every_kind_of_route_is_understood() -> None:
    links: list[dict[str, Any]] = [
        {"ifname": "d0", "addr_info": [{"local": "10.1.0.2", "prefixlen": 24}]},
        {"ifname": "down"},
    ]
    routes: list[dict[str, Any]] = [
        {"dst": "default", "nexthops": MANY_PATHS},
        {"dst": "10.1.0.0/24", "dev": "d0"},
        {"dst": "10.12.0.0/16", "nexthops": MANY_PATHS},
        {"type": "blackhole", "dst": "10.244.1.0/26"},
        {"dst": "192.0.2.1", "dev": "d0"},
    ]
    assert [(found.name, str(found.network)) for found in host.networks(links, routes)] == [
        ("d0", "10.1.0.0/24"),
        ("d0", "10.1.0.0/24"),
        ("d1", "10.12.0.0/16"),
        ("d0", "10.12.0.0/16"),
        ("", "10.244.1.0/26"),
        ("d0", "192.0.2.1/32"),
    ]


@pytest.mark.parametrize(
    ("routes", "expected"),
    [
        ([{"dst": "default", "dev": "eth0"}, {"dst": "default", "dev": "wlan0"}], ["eth0"]),
        ([{"dst": "default", "nexthops": MANY_PATHS}], ["d0", "d1"]),
        ([{"type": "unreachable", "dst": "default"}, {"dst": "default", "dev": "eth0"}], ["eth0"]),
    ],
)
def test_guests_leave_by_a_default_route_that_leads_somewhere(
    routes: list[dict[str, object]], expected: list[str]
) -> None:
    assert host.outside_interfaces(routes) == expected


@pytest.mark.parametrize("routes", [[], [{"type": "unreachable", "dst": "default"}]])
def test_a_machine_without_a_way_out_is_refused(routes: list[dict[str, object]]) -> None:
    with pytest.raises(StakeyardError, match="no IPv4 default route"):
        host.outside_interfaces(routes)


def test_only_sources_of_the_lab_s_suite_are_taken() -> None:
    listing = (
        "http://m/debian/ bookworm main\nhttp://m/debian/ bookworm-updates main\n"
        "http://m/security/ bookworm-security main\nhttps://other/ nodistro main\nhttps://x/ bookworm main\n"
        "http://m/debian/ trixie main\nhttp://m/debian/ bookworm main\n"
    )
    assert host.apt_sources(listing) == [
        "deb http://m/debian/ bookworm main",
        "deb http://m/debian/ bookworm-updates main",
        "deb http://m/security/ bookworm-security main",
        "deb https://x/ bookworm main",
    ]


@pytest.mark.parametrize("login", ["bob:S3cret", "S3cret", "bob@corp:S3cret"])
def test_a_source_with_a_login_is_refused_without_telling_it(login: str) -> None:
    with pytest.raises(StakeyardError, match=r"a login for mirror\.example:8443, .*auth\.conf\.d") as refused:
        host.apt_sources(f"https://{login}@mirror.example:8443/debian bookworm main\n")
    assert "S3cret" not in str(refused.value)
    assert "bob" not in str(refused.value)
    assert host.apt_sources(f"https://{login}@mirror.example/debian trixie main\n") == []


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (["nameserver 127.0.0.53\n", "nameserver 10.0.0.53\n"], "10.0.0.53"),
        (["search x\nnameserver fe80::1%eth0\nnameserver 192.0.2.53\n"], "192.0.2.53"),
        (["nameserver 127.0.0.1\n"], None),
        ([], None),
    ],
)
def test_guests_get_a_resolver_that_they_can_reach(files: list[str], expected: str | None) -> None:
    assert host.resolver(files) == expected
