"""The role volume: a blank volume is formatted, ours is mounted and filled, anything else is never touched."""

import re
import struct
from pathlib import Path
from typing import Any

import pytest
import yaml
from jinja2.nativetypes import NativeEnvironment

from stacks.paths import REPOSITORY
from tests.unit.artifact_modules import load

module = load("volume", "volume_mount")
ID = "2a7f3e10-0c4e-4b52-9d43-0a1b2c3d4e5f"
DEVICE = Path("/dev/disk/by-id/virtio-2a7f3e10-0c4e-4b52-9")
GIB = 1 << 30


class Module:
    """Stands for AnsibleModule: remembers the commands, answers blkid."""

    def __init__(
        self, mount: Path, blkid: tuple[int, str], check: bool = False, may_format: bool = True, size_gib: int = 0
    ) -> None:
        self.params = {"device_id": ID, "path": str(mount), "label": "chain", "wait": 0, "format": may_format}
        self.params |= {"size_gib": size_gib}
        self.blkid, self.check_mode = blkid, check
        self.commands: list[list[str]] = []
        self.resized = [(0, "", "")]

    def run_command(self, command: list[str], check_rc: bool = False) -> tuple[int, str, str]:
        self.commands.append(command)
        if command[0] == "resize2fs":
            return self.resized.pop(0)
        return (*self.blkid, "") if command[0] == "blkid" else (0, "", "")

    @property
    def programs(self) -> list[str]:
        return [command[0] for command in self.commands]


@pytest.fixture
def mount(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A mount point, with folders of devices and units of its own; the device is there."""
    for name in ("by-id", "units"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr(module, "BY_ID", tmp_path / "by-id")
    monkeypatch.setattr(module, "UNITS", tmp_path / "units")
    monkeypatch.setattr(module.time, "sleep", lambda _seconds: None)
    make_device(tmp_path, 1, 1)
    return tmp_path / "data"


def make_device(folder: Path, gib: float, filesystem_gib: float) -> None:
    """Make the device anew: so large, with the superblock of an ext4 that is as large or smaller."""
    superblock = bytearray(1024)
    struct.pack_into("<H", superblock, 0x38, 0xEF53)
    blocks = int(filesystem_gib * GIB) // 4096
    for offset, value in ((0x4, blocks & 0xFFFFFFFF), (0x150, blocks >> 32), (0x18, 2)):
        struct.pack_into("<I", superblock, offset, value)
    with (folder / "by-id" / DEVICE.name).open("wb") as file:
        file.seek(1024)
        file.write(superblock)
        file.truncate(int(gib * GIB))


@pytest.fixture
def mounted(mount: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same, when our file system is mounted there and its unit is written."""
    module.run(Module(mount, OURS))
    device = str(mount.parent / "by-id" / DEVICE.name)
    monkeypatch.setattr(module, "mounted_at", lambda _path, _mounts: (device, "ext4"))
    return mount


BLANK = (2, "")
OURS = (0, "DEVNAME=/dev/vdb\nUUID=1\nTYPE=ext4\nUSAGE=filesystem\n")


def test_a_mount_unit_has_the_name_that_systemd_wants() -> None:
    assert module.unit_name("/var/lib/bitcoind") == "var-lib-bitcoind.mount"
    assert module.unit_name("/var/lib/a-b/") == "var-lib-a\\x2db.mount"


def test_a_blank_volume_is_formatted_once_and_mounted(mount: Path) -> None:
    fake = Module(mount, BLANK)
    assert module.run(fake)["formatted"] is True
    assert fake.programs == ["blkid", "mkfs.ext4", "systemctl", "systemctl"]
    unit = next((mount.parent / "units").iterdir())
    assert f"Where={mount}\nType=ext4\nOptions=noatime,nodev,nosuid,noexec" in unit.read_text()


def test_a_volume_that_has_been_in_use_is_never_formatted(mount: Path) -> None:
    fake = Module(mount, BLANK, may_format=False)
    with pytest.raises(module.RefusalError, match="shows no file system although it has been in use"):
        module.run(fake)
    assert fake.programs == ["blkid"]
    assert module.run(Module(mount, OURS, may_format=False))["formatted"] is False


def test_a_volume_of_ours_is_mounted_and_not_formatted(mount: Path) -> None:
    fake = Module(mount, OURS)
    assert module.run(fake) == {
        "changed": True, "device": str(mount.parent / "by-id" / DEVICE.name), "formatted": False, "grown": False
    }  # fmt: skip
    assert "mkfs.ext4" not in fake.programs


@pytest.mark.parametrize(
    ("status", "output", "holds"),
    [
        (0, "TYPE=xfs\n", "xfs"),
        (0, "TYPE=crypto_LUKS\n", "crypto_LUKS"),
        (0, "TYPE=LVM2_member\n", "LVM2_member"),
        (0, "PTTYPE=gpt\n", "a gpt partition table"),
        (0, "TYPE=ext4\nPTTYPE=dos\n", "ext4"),
        (8, "", "unclear signatures"),
        (2, "TYPE=ext4\n", "ext4"),
        (4, "", "unclear signatures"),
    ],
)
def test_a_foreign_volume_is_never_touched(mount: Path, status: int, output: str, holds: str) -> None:
    fake = Module(mount, (status, output))
    with pytest.raises(module.RefusalError, match=f"neither blank nor ext4 but holds {holds}: it is not touched"):
        module.run(fake)
    assert fake.programs == ["blkid"]
    assert list((mount.parent / "units").iterdir()) == []


def test_data_on_the_root_disk_is_not_hidden_by_a_volume(mount: Path) -> None:
    mount.mkdir()
    (mount / "blocks").mkdir()
    fake = Module(mount, BLANK)
    with pytest.raises(module.RefusalError, match="on the root disk is not empty"):
        module.run(fake)
    assert fake.programs == ["blkid"]


def test_a_volume_that_is_not_attached_is_named(mount: Path) -> None:
    (mount.parent / "by-id" / DEVICE.name).unlink()
    sentence = f"volume {ID} did not appear within 0 s: attach it to this server; none of its names ({DEVICE.name}, "
    with pytest.raises(module.RefusalError, match=re.escape(sentence)) as refused:
        module.run(Module(mount, BLANK))
    assert str(refused.value).endswith("/by-id, which has nothing.")
    for other in ("scsi-0QEMU_QEMU_HARDDISK_b", "ata-a"):
        (mount.parent / "by-id" / other).touch()
    with pytest.raises(module.RefusalError, match="which has ata-a, scsi-0QEMU_QEMU_HARDDISK_b") as refused:
        module.run(Module(mount, BLANK))


def test_a_volume_with_two_devices_is_not_touched(mount: Path) -> None:
    (mount.parent / "by-id" / f"scsi-0QEMU_QEMU_HARDDISK_{ID}").touch()
    fake = Module(mount, BLANK)
    with pytest.raises(module.RefusalError, match="several devices have names of volume"):
        module.run(fake)
    assert fake.commands == []


def test_check_mode_touches_nothing(mount: Path) -> None:
    fake = Module(mount, BLANK, check=True)
    assert module.run(fake)["changed"] is True
    assert fake.programs == ["blkid"]
    assert not mount.exists()


def test_another_device_in_place_is_refused(mount: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "mounted_at", lambda _path, _mounts: ("/dev/vdz", "ext4"))
    fake = Module(mount, OURS)
    with pytest.raises(module.RefusalError, match="is already mounted from /dev/vdz"):
        module.run(fake)
    assert fake.commands == []


def test_a_second_run_changes_nothing(mounted: Path) -> None:
    fake = Module(mounted, OURS, size_gib=1)
    result: dict[str, Any] = module.run(fake)
    assert (result["changed"], result["grown"]) == (False, False)
    assert "diff" not in result
    assert fake.commands == []


def test_the_last_mount_at_a_path_counts() -> None:
    mounts = "/dev/vda1 / ext4 rw 0 0\n/dev/vdb /data ext4 rw 0 0\n/dev/vdc /data xfs rw 0 0\n"
    assert module.mounted_at("/data", mounts) == ("/dev/vdc", "xfs")
    assert module.mounted_at("/dat", mounts) == ("", "")


@pytest.mark.parametrize(
    ("device", "filesystem", "expected"),
    [
        (10 * GIB, 10 * GIB, False),
        (11 * GIB, 10 * GIB, True),
        (10 * GIB, 11 * GIB, False),
        # what an encrypted volume keeps for its header, and a last block group that is too small to be used
        (10 * GIB, 10 * GIB - (127 << 20), False),
        (10 * GIB, 10 * GIB - (128 << 20), True),
        (17 << 40, (17 << 40) - GIB, True),
    ],
)
def test_a_file_system_grows_where_a_block_group_and_more_is_unused(
    device: int, filesystem: int, expected: bool
) -> None:
    assert module.grows(device, filesystem) is expected


@pytest.mark.parametrize("gib", [1, 10, 1500, 20000])
def test_the_size_of_a_file_system_is_in_its_superblock(tmp_path: Path, gib: int) -> None:
    (tmp_path / "by-id").mkdir()
    make_device(tmp_path, 0.01, gib)
    superblock = (tmp_path / "by-id" / DEVICE.name).read_bytes()[1024:2048]
    assert module.filesystem_size(superblock) == gib * GIB
    assert module.filesystem_size(bytes(1024)) is None
    assert module.filesystem_size(b"") is None


def test_the_file_system_of_a_volume_that_was_enlarged_grows_while_it_is_mounted(mounted: Path) -> None:
    make_device(mounted.parent, 2, 1)
    fake = Module(mounted, OURS, size_gib=2)
    result = module.run(fake)
    assert (result["changed"], result["grown"], result["formatted"]) == (True, True, False)
    assert result["diff"] == {"before": "file system of 1 GiB\n", "after": "file system of 2 GiB\n"}
    assert fake.commands == [["resize2fs", result["device"]]]


def test_a_volume_that_was_enlarged_while_it_was_detached_grows_once_it_is_mounted(mount: Path) -> None:
    make_device(mount.parent, 2, 1)
    fake = Module(mount, OURS)
    assert module.run(fake)["grown"] is True
    assert fake.programs == ["blkid", "systemctl", "systemctl", "resize2fs"]


@pytest.mark.parametrize("enlarged", [False, True], ids=["still to be enlarged", "enlarged"])
def test_check_mode_says_that_a_file_system_would_grow(mounted: Path, enlarged: bool) -> None:
    make_device(mounted.parent, 2 if enlarged else 1, 1)
    fake = Module(mounted, OURS, check=True, size_gib=2)
    result = module.run(fake)
    assert (result["changed"], result["grown"]) == (True, True)
    assert result["diff"]["after"] == "file system of 2 GiB\n"
    assert fake.commands == []


def test_a_server_that_was_not_told_of_the_larger_size_is_named(mounted: Path) -> None:
    fake = Module(mounted, OURS, size_gib=2)
    with pytest.raises(module.RefusalError, match="has 1 GiB and not the 2 GiB of its volume: the hypervisor has not"):
        module.run(fake)
    assert fake.commands == []


def test_a_size_that_is_told_late_is_waited_for(mounted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.time, "sleep", lambda _seconds: make_device(mounted.parent, 2, 1))
    fake = Module(mounted, OURS, size_gib=2)
    fake.params["wait"] = 60
    assert module.run(fake)["grown"] is True


def test_what_is_mounted_and_is_no_ext4_is_left_alone(mounted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    device = str(mounted.parent / "by-id" / DEVICE.name)
    monkeypatch.setattr(module, "mounted_at", lambda _path, _mounts: (device, "xfs"))
    make_device(mounted.parent, 2, 1)
    fake = Module(mounted, OURS, size_gib=2)
    assert module.run(fake)["changed"] is False
    assert fake.commands == []


def test_a_superblock_that_is_none_is_named(mounted: Path) -> None:
    (mounted.parent / "by-id" / DEVICE.name).write_bytes(bytes(4096))
    with pytest.raises(module.RefusalError, match="is not that of ext4: look at its file system"):
        module.run(Module(mounted, OURS))


def test_a_superblock_that_was_read_half_written_is_read_again(mounted: Path) -> None:
    make_device(mounted.parent, 2, 1)
    fake = Module(mounted, OURS)
    fake.resized = [(1, "", "Superblock checksum does not match"), (0, "", "")]
    assert module.run(fake)["grown"] is True


def test_a_file_system_that_cannot_grow_is_named(mounted: Path) -> None:
    make_device(mounted.parent, 2, 1)
    fake = Module(mounted, OURS)
    fake.resized = [(1, "", "resize2fs: Permission denied to\nresize filesystem")] * 3
    with pytest.raises(module.RefusalError, match=r"made larger \(resize2fs: Permission denied to resize filesystem\)"):
        module.run(fake)


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"stakeyard_volumes": {"a": {"device_id": "x", "size_gib": 9}, "b": {"device_id": ID, "size_gib": 7}}}, 7),
        ({"stakeyard_volumes": {"b": {"device_id": ID}}}, 0),
        ({"stakeyard_volumes": {}}, 0),
        ({}, 0),
    ],
)
def test_the_role_asks_for_the_size_that_the_volume_of_this_id_has(variables: dict[str, Any], expected: int) -> None:
    (task,) = yaml.safe_load((REPOSITORY / "roles/volume/tasks/main.yml").read_text())
    size: Any = NativeEnvironment().from_string(task["volume_mount"]["size_gib"])
    assert size.render(volume_device_id=ID, **variables) == expected
