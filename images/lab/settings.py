"""The lab's names and addresses. All follow from three environment variables, so that two labs can run side by side."""

import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from stacks import paths
from stacks.errors import StakeyardError

SUITE = "bookworm"  # its OpenStack is Zed
MTU = 1400  # leaves room for VXLAN under an outside of 1450 and more
REGION = "RegionOne"
EXTERNAL_NETWORK = "public"
VOLUME_TYPE = "lab"
PROJECT = "stakeyard"
# name -> (vCPU, MiB of memory, GiB of disk)
FLAVORS: Mapping[str, tuple[int, int, int]] = {
    "lab.tiny": (1, 512, 4),
    "lab.small": (1, 1024, 8),
    "lab.medium": (2, 2048, 12),
}
LOOP_DEVICES = 32  # one a container server; the kernel makes them on demand

_NAME = re.compile(r"[a-z][a-z0-9]{0,9}")
# Mount options and /proc/mounts give other characters a meaning.
_STATE = re.compile(r"(/[A-Za-z0-9._+@-]+)+")


@dataclass(frozen=True)
class Settings:
    """One lab: where its state is, what it is called and which addresses it has."""

    state: Path
    name: str
    network: ipaddress.IPv4Network

    @property
    def bridge(self) -> str:
        """Bridge on the host; carries the nodes and the floating addresses."""
        return f"br-{self.name}"

    @property
    def machines(self) -> tuple[str, str]:
        """What systemd-nspawn calls the nodes; their network interfaces on the host are named after it."""
        return f"{self.name}-1", f"{self.name}-2"

    @property
    def interfaces(self) -> tuple[str, ...]:
        """The lab's network interfaces on the host, the bridge last."""
        return (*(f"vb-{machine}" for machine in self.machines), self.bridge)

    @property
    def table(self) -> str:
        """The nftables table (family ip) with the lab's NAT."""
        return f"stakeyard_{self.name}"

    @property
    def cgroup(self) -> str:
        """Control group, under every hierarchy's root, that holds all processes of the lab."""
        return f"stakeyard-{self.name}"

    @property
    def work_cgroup(self) -> str:
        """Control group of what builds and unpacks the lab's files."""
        return f"{self.cgroup}-work"

    @property
    def cloud(self) -> str:
        """Entry in clouds.yaml."""
        return f"stakeyard-{self.name}"

    @property
    def gateway(self) -> str:
        return self.address(1)

    @property
    def controller(self) -> str:
        return self.address(2)

    @property
    def compute(self) -> str:
        return self.address(3)

    @property
    def instances(self) -> str:
        """Nova's instance directory inside a node: names the lab, as loop devices show only this path."""
        return f"/var/lib/nova/instances-{self.name}"

    def address(self, host: int) -> str:
        """Address number `host` of the lab's network."""
        return str(self.network.network_address + host)


def settings(environment: Mapping[str, str] = os.environ) -> Settings:
    """Read STAKEYARD_LAB (state directory), STAKEYARD_LAB_NAME and STAKEYARD_LAB_NETWORK (a /24)."""
    name = environment.get("STAKEYARD_LAB_NAME", "lab")
    if not _NAME.fullmatch(name):
        raise StakeyardError(
            f"STAKEYARD_LAB_NAME is `{name}`: use 1 to 10 lower-case letters and digits, beginning with a letter."
        )
    text = environment.get("STAKEYARD_LAB_NETWORK", "172.31.240.0/24")
    try:
        network = ipaddress.IPv4Network(text)
    except ValueError as error:
        raise StakeyardError(f"STAKEYARD_LAB_NETWORK is not an IPv4 network: {error}.") from error
    if network.prefixlen != 24 or not network.is_private:
        raise StakeyardError(f"STAKEYARD_LAB_NETWORK is {network}: give a private network with prefix length 24.")
    state = paths.lab()
    # `destroy` removes this directory and `up` unmounts what it finds in it.
    if not state.is_absolute() or state.is_mount():
        raise StakeyardError(f"STAKEYARD_LAB is {state}: name a directory of its own, from /, that is no mount point.")
    if not _STATE.fullmatch(str(state)) or ".." in state.parts:
        raise StakeyardError(
            f"STAKEYARD_LAB is {str(state)!r}: use letters, digits and . _ + @ - in the directory's name, and no `..`."
        )
    return Settings(state=state, name=name, network=network)
