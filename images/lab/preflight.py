"""What must hold before a lab starts; each refusal is one sentence that says what to do."""

from images.lab.host import HostFacts, Interface
from images.lab.settings import Settings
from stacks.errors import StakeyardError

_GIB = 1 << 30
MEMORY = 8 * _GIB
DISK = 12 * _GIB
DISK_MADE = 3 * _GIB  # when the nodes' root filesystems exist already
# package of Debian that brings a program which the lab needs
_PACKAGES = {
    "systemd-nspawn": "systemd-container",
    "nft": "nftables",
    "ip": "iproute2",
    "unshare": "util-linux",
    "nsenter": "util-linux",
    "losetup": "mount",
    "ssh-keygen": "openssh-client",
}


def check_system(facts: HostFacts) -> None:
    """Refuse what can never work: another system, another user than root."""
    if facts.system != "Linux":
        raise StakeyardError(f"The lab cloud needs Linux, and this is {facts.system}: use a Debian 12 machine.")
    if facts.uid != 0:
        raise StakeyardError("The lab cloud needs root (network bridges, mounts, containers): run this as root.")
    if facts.missing_programs:
        names = ", ".join(facts.missing_programs)
        packages = " ".join(sorted({_PACKAGES.get(name, name) for name in facts.missing_programs}))
        raise StakeyardError(f"The lab needs programs that are not installed ({names}): `apt-get install {packages}`.")


def in_the_way(networks: tuple[Interface, ...], settings: Settings) -> Interface | None:
    """An interface or route, other than the lab's own bridge, that overlaps the lab's network."""
    for interface in networks:
        if not interface.name:
            # A wider route that leads nowhere hides nobody: the lab's own goes before it.
            taken = interface.network.subnet_of(settings.network)
        else:
            taken = interface.name != settings.bridge and interface.network.overlaps(settings.network)
        if taken:
            return interface
    return None


def check_room(facts: HostFacts, settings: Settings, made: bool) -> None:
    """Refuse when a lab that does not run yet would not fit: addresses, memory, disk."""
    other = in_the_way(facts.networks, settings)
    if other:
        owner = f"interface {other.name}" if other.name else "a route that leads nowhere"
        raise StakeyardError(
            f"The lab's network {settings.network} overlaps {other.network} of {owner}: "
            "set STAKEYARD_LAB_NETWORK to a free private /24."
        )
    if facts.memory_available < MEMORY:
        raise StakeyardError(
            f"The lab needs {MEMORY / _GIB:.0f} GiB of available memory and this machine has "
            f"{facts.memory_available / _GIB:.1f}: stop something or use a larger machine."
        )
    need = DISK_MADE if made else DISK
    if facts.disk_free < need:
        raise StakeyardError(
            f"The lab needs {need / _GIB:.0f} GiB of disk for {settings.state} and {facts.disk_free / _GIB:.1f} "
            "are free: make room or set STAKEYARD_LAB to a directory on another disk."
        )
