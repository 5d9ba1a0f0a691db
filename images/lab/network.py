"""The lab's bridge on the host, with address translation towards the outside."""

import json
import subprocess
from collections.abc import Iterable
from pathlib import Path

from images.lab import host
from images.lab.settings import MTU, Settings

_FORWARD = Path("/proc/sys/net/ipv4/ip_forward")


def rules(settings: Settings, outside: Iterable[str]) -> str:
    """The lab's nftables table. Only what leaves by an outside interface is translated: with bridge netfilter
    on, a wider rule would also rewrite the VXLAN multicast between the nodes, and guests would get no address."""
    interfaces = ", ".join(f'"{name}"' for name in outside)
    return f"""table ip {settings.table} {{
 chain postrouting {{
  type nat hook postrouting priority srcnat; policy accept;
  ip saddr {settings.network} ip daddr != {settings.network} oifname {{ {interfaces} }} masquerade
 }}
}}
"""


def up(settings: Settings) -> None:
    """Make the bridge and the table; may run again."""
    saved = settings.state / "ip_forward"
    if not saved.exists():
        saved.write_text(_FORWARD.read_text())
    _FORWARD.write_text("1\n")
    if not Path("/sys/class/net", settings.bridge).exists():
        _ip("link", "add", settings.bridge, "type", "bridge", "stp_state", "0", "forward_delay", "0")
    _ip("address", "replace", f"{settings.gateway}/24", "dev", settings.bridge)
    _ip("link", "set", settings.bridge, "mtu", str(MTU), "up")
    _delete_table(settings.table)
    text = rules(settings, host.default_interfaces())
    subprocess.run(["nft", "-f", "-"], input=text, text=True, check=True)


def down(settings: Settings) -> None:
    """Remove the interfaces and the table, and switch forwarding back unless another lab needs it.

    The nodes' interfaces outlive killed nodes for minutes: connections that were cut off hold the network namespace.
    """
    _delete_table(settings.table)
    for interface in present(settings):
        _ip("link", "delete", interface)
    saved = settings.state / "ip_forward"
    if saved.exists():
        if not any(table.startswith("stakeyard_") for table in tables()):
            _FORWARD.write_text(saved.read_text())
        saved.unlink()


def present(settings: Settings) -> list[str]:
    """The lab's interfaces that exist on the host now."""
    return [interface for interface in settings.interfaces if Path("/sys/class/net", interface).exists()]


def tables() -> list[str]:
    """Names of the host's nftables tables of family ip."""
    listing = subprocess.run(["nft", "-j", "list", "tables", "ip"], check=True, capture_output=True, text=True).stdout
    return [str(entry["table"]["name"]) for entry in json.loads(listing)["nftables"] if "table" in entry]


def _delete_table(name: str) -> None:
    if name in tables():
        subprocess.run(["nft", "delete", "table", "ip", name], check=True)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)
