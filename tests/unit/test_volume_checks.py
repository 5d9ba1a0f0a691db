"""The checks of volumes that run on every node, asked of a host that answers as a test says."""

import importlib.util
import json
import shlex
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from stacks.paths import REPOSITORY

ID = "2a7f3e10-0c4e-4b52-9d43-0a1b2c3d4e5f"
GIB = 1 << 30


def load() -> ModuleType:
    """The file of checks, as a module."""
    path = REPOSITORY / "roles/host/verify/test_node_volumes.py"
    spec = importlib.util.spec_from_file_location("host_volume_checks", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


checks = load()


@dataclass(frozen=True)
class Host:
    """A host with one volume of 10 GiB, or what a test makes of it."""

    fstype: str = "ext4"
    names: tuple[str, ...] = ("virtio-2a7f3e10-0c4e-4b52-9",)
    device: int = 10 * GIB
    blocks: int = 10 * GIB // 4096
    size: int = 10 * GIB - 400_000_000
    avail: int = 5 * GIB
    header: str = "Block count:              {}\nReserved block count:     0\nBlock size:               4096\n"

    def run(self, command: str) -> Any:
        """What testinfra gives of a command."""
        if command.startswith("findmnt "):
            assert shlex.split(command)[-1] == "/data"
            shown = {"source": "/dev/vdb", "fstype": self.fstype, "size": self.size, "avail": str(self.avail)}
            done = {"filesystems": [{**shown, "source": "/dev/vdz"}, shown]}
            return SimpleNamespace(rc=int(not self.fstype), stdout=json.dumps(done) if self.fstype else "")
        assert "dumpe2fs -h /dev/vdb" in command
        return SimpleNamespace(rc=0, stdout=self.header.format(self.blocks))

    def check_output(self, command: str) -> str:
        """The output of a command that must succeed."""
        if command.startswith("blockdev "):
            return str(self.device)
        assert "-samefile /dev/vdb" in command
        return "\n".join(self.names)


GOOD = Host()
RIGHT, FILLS, ROOM = (
    checks.test_the_right_volumes_are_mounted,
    checks.test_each_file_system_fills_its_volume,
    checks.test_each_file_system_has_room_left,
)


def ask(check: Callable[..., None], host: Host, volumes: dict[str, Any]) -> None:
    found = checks.volumes.__wrapped__(host, {"volumes": volumes})
    check(found) if check is ROOM else check(host, found)


VOLUMES = {"chain": {"device_id": ID, "mount": "/data", "size_gib": 10}}


@pytest.mark.parametrize("check", [RIGHT, FILLS, ROOM])
@pytest.mark.parametrize(
    "host",
    [
        GOOD,
        replace(GOOD, names=("wwn-0x2a7f3e100c4e4b529d430a1b2c3d4e5f",)),
        replace(GOOD, names=("ata-x", f"scsi-0QEMU_QEMU_HARDDISK_{ID}")),
        replace(GOOD, device=10 * GIB - (16 << 20), blocks=(10 * GIB - (16 << 20)) // 4096),
    ],
    ids=["virtio", "ESXi", "virtio-scsi", "an encrypted volume with its header"],
)
def test_a_volume_as_it_should_be_passes(check: Callable[..., None], host: Host) -> None:
    ask(check, host, VOLUMES)
    ask(check, host, {})


@pytest.mark.parametrize(
    ("check", "host", "sentence"),
    [
        (RIGHT, replace(GOOD, fstype=""), "chain: nothing is mounted at /data"),
        (RIGHT, replace(GOOD, fstype="xfs"), "chain: xfs is mounted at /data"),
        (RIGHT, replace(GOOD, names=("virtio-99999999-0c4e-4b52-9",)), "virtio-99999999-0c4e-4b52-9"),
        (RIGHT, replace(GOOD, names=()), "/dev/vdb is mounted at /data"),
        (FILLS, replace(GOOD, device=11 * GIB), "chain: of 11811160064 bytes the device has 11811160064"),
        (
            FILLS,
            replace(GOOD, device=9 * GIB, blocks=9 * GIB // 4096),
            "of 10737418240 bytes the device has 9663676416",
        ),
        (FILLS, replace(GOOD, header="nothing {}"), "its file system 0"),
        (ROOM, replace(GOOD, avail=500_000_000), "chain: 476 of 9858 MiB are free at /data: enlarge the volume"),
    ],
)
def test_a_volume_that_is_not_as_it_should_be_is_named(check: Callable[..., None], host: Host, sentence: str) -> None:
    with pytest.raises(AssertionError) as failed:
        ask(check, host, VOLUMES)
    assert sentence in str(failed.value)
