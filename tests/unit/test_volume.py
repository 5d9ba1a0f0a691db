"""The role volume: a blank volume is formatted, ours is mounted, anything else is never touched."""

from pathlib import Path
from typing import Any

import pytest

from tests.unit.artifact_modules import load

module = load("volume", "volume_mount")
ID = "2a7f3e10-0c4e-4b52-9d43-0a1b2c3d4e5f"
DEVICE = Path("/dev/disk/by-id/virtio-2a7f3e10-0c4e-4b52-9")


class Module:
    """Stands for AnsibleModule: remembers the commands, answers blkid."""

    def __init__(self, mount: Path, blkid: tuple[int, str], check: bool = False, may_format: bool = True) -> None:
        self.params = {"device_id": ID, "path": str(mount), "label": "chain", "wait": 0, "format": may_format}
        self.blkid, self.check_mode = blkid, check
        self.commands: list[list[str]] = []

    def run_command(self, command: list[str], check_rc: bool = False) -> tuple[int, str, str]:
        self.commands.append(command)
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
    (tmp_path / "by-id" / DEVICE.name).touch()
    return tmp_path / "data"


BLANK = (2, "")
OURS = (0, "DEVNAME=/dev/vdb\nUUID=1\nTYPE=ext4\nUSAGE=filesystem\n")


def test_the_device_is_found_by_the_first_20_characters_of_its_id() -> None:
    assert module.device_of(ID) == DEVICE


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
        "changed": True, "device": str(mount.parent / "by-id" / DEVICE.name), "formatted": False
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
    with pytest.raises(module.RefusalError, match=f"{DEVICE.name} did not appear within 0 s"):
        module.run(Module(mount, BLANK))


def test_check_mode_touches_nothing(mount: Path) -> None:
    fake = Module(mount, BLANK, check=True)
    assert module.run(fake)["changed"] is True
    assert fake.programs == ["blkid"]
    assert not mount.exists()


def test_another_device_in_place_is_refused(mount: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "mounted_device", lambda _path, _mounts: "/dev/vdz")
    fake = Module(mount, OURS)
    with pytest.raises(module.RefusalError, match="is already mounted from /dev/vdz"):
        module.run(fake)
    assert fake.commands == []


def test_a_second_run_changes_nothing(mount: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module.run(Module(mount, BLANK))
    device = str(mount.parent / "by-id" / DEVICE.name)
    monkeypatch.setattr(module, "mounted_device", lambda _path, _mounts: device)
    fake = Module(mount, OURS)
    result: dict[str, Any] = module.run(fake)
    assert result["changed"] is False
    assert fake.commands == []


def test_the_last_mount_at_a_path_counts() -> None:
    mounts = "/dev/vda1 / ext4 rw 0 0\n/dev/vdb /data ext4 rw 0 0\n/dev/vdc /data ext4 rw 0 0\n"
    assert module.mounted_device("/data", mounts) == "/dev/vdc"
    assert module.mounted_device("/dat", mounts) == ""
