"""The nodes' configuration files: templates below `node/`, rendered for one node and packed with owners and modes."""

import io
import tarfile
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import jinja2

from images.lab import settings as names
from images.lab.credentials import Passwords
from images.lab.settings import Settings

FILES = Path(__file__).parent / "node"
Role = Literal["controller", "compute"]
Virt = Literal["qemu", "kvm", "lxc"]

# Services whose configuration holds passwords: readable by their own group only.
_SERVICES = frozenset({"cinder", "glance", "keystone", "neutron", "nova", "placement"})


@dataclass(frozen=True)
class NodeSpec:
    """What tells one node from another."""

    role: Role
    virt: Virt
    machine: str  # short: network interfaces are named after it
    hostname: str
    address: str


@dataclass(frozen=True)
class File:
    """A rendered file: absolute path without the leading slash."""

    path: str
    content: str
    mode: int
    group: str


def nodes(settings: Settings, virt: Virt, second: Virt) -> tuple[NodeSpec, NodeSpec]:
    """Both nodes of a lab: the controller computes too."""
    first, second_machine = settings.machines
    return (
        NodeSpec("controller", virt, first, f"{settings.name}-controller", settings.controller),
        NodeSpec("compute", second, second_machine, f"{settings.name}-compute", settings.compute),
    )


def folders(node: NodeSpec) -> Sequence[str]:
    """Template folders that apply to a node, later ones over earlier ones."""
    return ("common", *(("controller",) if node.role == "controller" else ()), *(("container",) * (node.virt == "lxc")))


def access(path: str) -> tuple[int, str]:
    """Mode and group of a file on a node, from where it lies."""
    parts = path.split("/")
    if parts[0] == "etc" and len(parts) > 2 and parts[1] in _SERVICES:
        return 0o640, parts[1]
    if path == "etc/openstack/clouds.yaml":
        return 0o600, "root"
    if parts[0] == "sbin" or parts[:3] in (["usr", "local", "sbin"], ["etc", "libvirt", "hooks"]):
        return 0o755, "root"
    return 0o644, "root"


def render(settings: Settings, node: NodeSpec, passwords: Passwords, dns: str) -> list[File]:
    """All files of one node. A variable that no template knows is an error, not an empty string."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FILES),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701  # configuration files, not HTML
    )
    values: dict[str, object] = {
        "name": settings.name,
        "role": node.role,
        "virt": node.virt,
        "hostname": node.hostname,
        "address": node.address,
        "gateway": settings.gateway,
        "controller": settings.controller,
        "compute": settings.compute,
        "instances": settings.instances,
        "dns": dns,
        "passwords": asdict(passwords),
        "mtu": names.MTU,
        "region": names.REGION,
        "external_network": names.EXTERNAL_NETWORK,
        "volume_type": names.VOLUME_TYPE,
        "loop_devices": names.LOOP_DEVICES,
    }
    found: dict[str, File] = {}
    for folder in folders(node):
        base = FILES / folder
        for source in sorted(path for path in base.rglob("*") if path.is_file()):
            target = source.relative_to(base).as_posix()
            content = environment.get_template(source.relative_to(FILES).as_posix()).render(values)
            found[target] = File(target, content, *access(target))
    return list(found.values())


def pack(files: Iterable[File]) -> bytes:
    """A tar of the files alone: folders that exist on the node keep their own owner and mode."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for file in files:
            data = file.content.encode()
            member = tarfile.TarInfo(file.path)
            member.size = len(data)
            member.mode = file.mode
            member.uname, member.gname = "root", file.group
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()
