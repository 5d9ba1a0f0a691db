"""What the lab learns from the machine that it runs on: mirror, resolver, proxy, memory, addresses."""

import ipaddress
import json
import os
import platform
import shutil
import subprocess
import urllib.parse
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from images.lab.settings import SUITE
from stacks.errors import StakeyardError

# Options that make apt inside the lab behave as it does on the host.
_APT_OPTIONS = (
    "Acquire::http::Proxy",
    "Acquire::https::Proxy",
    "Acquire::http::No-Proxy",
    "Acquire::https::No-Proxy",
    "Acquire::Check-Valid-Until",
)


@dataclass(frozen=True)
class Interface:
    """An address or route of the host, with the interface it belongs to."""

    name: str  # empty: a route that leads nowhere (blackhole, unreachable, prohibit)
    network: ipaddress.IPv4Network


@dataclass(frozen=True)
class HostFacts:
    """What the checks before `lab up` decide on."""

    system: str
    uid: int
    memory_available: int  # bytes
    disk_free: int  # bytes, where the lab's state goes
    missing_programs: tuple[str, ...]
    networks: tuple[Interface, ...]


PROGRAMS = ("systemd-nspawn", "mmdebstrap", "nft", "ip", "zstd", "tar", "unshare", "nsenter", "losetup", "ssh-keygen")


def _output(*command: str) -> str:
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise StakeyardError(f"`{' '.join(command)}` failed on this machine: {error}") from error


def apt_sources(index_targets: str, suite: str = SUITE) -> list[str]:
    """One-line sources of the suite and its updates, from lines of `uri release component`.

    They get into command lines, logs and the images: one that holds a user name or password is refused.
    """
    found: set[str] = set()
    for line in index_targets.splitlines():
        uri, release, component = line.split()
        if release == suite or release.startswith(suite + "-"):
            login, _, mirror = urllib.parse.urlsplit(uri).netloc.rpartition("@")
            if login:
                raise StakeyardError(
                    f"apt's sources on this machine hold a login for {mirror}, which a build would write into its log "
                    "and into images: name a mirror that asks for none (moved to /etc/apt/auth.conf.d the login "
                    "stays secret, but builds do not use it there)."
                )
            found.add(f"deb {uri} {release} {component}")
    return sorted(found)


def host_apt_sources() -> list[str]:
    """The mirror as apt itself resolves it, whatever the format of the host's files."""
    listing = _output(
        "apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)", "Created-By: Packages"
    )
    sources = apt_sources(listing)
    if not sources:
        raise StakeyardError(f"apt on this machine knows no package lists of Debian {SUITE}: run `apt-get update`.")
    return sources


def host_apt_options() -> str:
    """Lines for an apt.conf of the lab's nodes."""
    lines = _output("apt-config", "dump").splitlines()
    return "".join(f"{line}\n" for line in lines if line.split(" ")[0] in _APT_OPTIONS)


def resolver(files: Iterable[str]) -> str | None:
    """First IPv4 name server in these resolv.conf texts that others than the host itself can reach."""
    for text in files:
        for line in text.splitlines():
            words = line.split()
            if len(words) >= 2 and words[0] == "nameserver":
                try:
                    address = ipaddress.ip_address(words[1])
                except ValueError:
                    continue
                if address.version == 4 and not address.is_loopback:
                    return str(address)
    return None


def host_resolver() -> str:
    """Name server for the nodes and the guests."""
    paths = (Path("/etc/resolv.conf"), Path("/run/systemd/resolve/resolv.conf"))
    found = resolver(path.read_text() for path in paths if path.is_file())
    if found is None:
        raise StakeyardError(
            "/etc/resolv.conf names no IPv4 name server that guests can reach: add one (a loopback stub is not enough)."
        )
    return found


def devices(route: Mapping[str, Any]) -> list[str]:
    """Interfaces of a route as `ip -json` tells it: one, several where it has many paths, or none."""
    hops = route.get("nexthops", [route])
    return [str(hop["dev"]) for hop in hops if "dev" in hop]


def outside_interfaces(routes: Iterable[Mapping[str, Any]]) -> list[str]:
    """Interfaces of the first default route that leads somewhere: where guests leave the machine."""
    for route in routes:
        if found := devices(route):
            return sorted(set(found))
    raise StakeyardError("This machine has no IPv4 default route: the lab's guests could not reach a package mirror.")


def default_interfaces() -> list[str]:
    """Those of this machine."""
    return outside_interfaces(json.loads(_output("ip", "-4", "-json", "route", "show", "default")))


def networks(links: Iterable[Mapping[str, Any]], routes: Iterable[Mapping[str, Any]]) -> tuple[Interface, ...]:
    """What is taken, from the answers of `ip -json` on addresses and routes."""
    found: list[Interface] = []
    for link in links:
        for address in link.get("addr_info", []):
            network = ipaddress.IPv4Network(f"{address['local']}/{address['prefixlen']}", strict=False)
            found.append(Interface(link["ifname"], network))
    for route in routes:
        if route["dst"] != "default":
            network = ipaddress.IPv4Network(route["dst"], strict=False)
            found += [Interface(name, network) for name in devices(route) or [""]]
    return tuple(found)


def _networks() -> tuple[Interface, ...]:
    addresses = _output("ip", "-4", "-json", "address", "show")
    return networks(json.loads(addresses), json.loads(_output("ip", "-4", "-json", "route", "show")))


def _memory_available() -> int:
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 0


def gather(state: Path) -> HostFacts:
    """Ask the machine. On another system than Linux only its name is filled in."""
    if platform.system() != "Linux":
        return HostFacts(platform.system(), os.getuid(), 0, 0, (), ())
    existing = state
    while not existing.exists():
        existing = existing.parent
    missing = tuple(program for program in PROGRAMS if shutil.which(program) is None)
    return HostFacts(
        system="Linux",
        uid=os.getuid(),
        memory_available=_memory_available(),
        disk_free=shutil.disk_usage(existing).free,
        missing_programs=missing,
        networks=() if "ip" in missing else _networks(),
    )
