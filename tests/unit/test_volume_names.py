"""The device of a volume by the names that udev may give it: as the role volume finds it, and the gate of signers."""

import os
from pathlib import Path

import pytest

from tests.signer.parts import gate
from tests.unit.artifact_modules import load

module = load("volume", "volume_mount")
ID = "2a7f3e10-0c4e-4b52-9d43-0a1b2c3d4e5f"
NEIGHBOUR = "2a7f3e10-0c4e-4b52-9d43-ffffffffffff"
"""Another volume, whose id begins with the same 20 characters."""
PLACES: list[tuple[dict[str, str], str]] = [
    ({}, ""),
    ({"virtio-2a7f3e10-0c4e-4b52-9": "vdb"}, "vdb"),
    ({f"virtio-{ID}": "vdb"}, "vdb"),
    ({"scsi-0QEMU_QEMU_HARDDISK_2a7f3e10-0c4e-4b52-9": "sdb"}, "sdb"),
    ({f"scsi-0QEMU_QEMU_HARDDISK_{ID}": "sdb"}, "sdb"),
    ({"wwn-0x2a7f3e100c4e4b529d430a1b2c3d4e5f": "sdb"}, "sdb"),
    ({f"scsi-0QEMU_QEMU_HARDDISK_{ID}": "sdb", "wwn-0x2a7f3e100c4e4b529d430a1b2c3d4e5f": "sdb"}, "sdb"),
    # no device of the volume
    ({f"scsi-0QEMU_QEMU_HARDDISK_{NEIGHBOUR}": "sdb", "virtio-2a7f3e10-0c4e-4b52-8": "vdb"}, ""),
    ({f"scsi-0QEMU_QEMU_HARDDISK_{ID}-part1": "sdb1", f"virtio-{ID}x": "vdb", f"ata-QEMU_HARDDISK_{ID}": "sdc"}, ""),
    ({"virtio-2a7f3e10-0c4e-4b52": "vdb", f"virtio-{ID[:19]}": "vdc"}, ""),
    # several
    ({"virtio-2a7f3e10-0c4e-4b52-9": "vdb", f"scsi-0QEMU_QEMU_HARDDISK_{ID}": "sdb"}, "several"),
    ({f"scsi-0QEMU_QEMU_HARDDISK_{ID}": "sdb", "scsi-0QEMU_QEMU_HARDDISK_2a7f3e10-0c4e-4b52-9": "sdc"}, "several"),
]


@pytest.mark.parametrize(("links", "expected"), PLACES)
def test_the_device_is_found_by_the_names_of_its_volume_and_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: dict[str, str], expected: str
) -> None:
    """The role and the gate of signers have a look-up each: both give the same."""
    (tmp_path / "by-id").mkdir()
    for link, device in links.items():
        (tmp_path / device).touch()
        (tmp_path / "by-id" / link).symlink_to(f"../{device}")
    for program in (module, gate):
        monkeypatch.setattr(program, "BY_ID", tmp_path / "by-id")
    seen = gate.devices_of(ID)
    if expected == "several":
        assert len(seen) > 1
        with pytest.raises(module.RefusalError, match=f"several devices have names of volume {ID} "):
            module.find(ID)
        return
    found = module.find(ID)
    assert seen == ({str(tmp_path / expected)} if expected else set())
    assert (os.path.realpath(found) if found else "") == (str(tmp_path / expected) if expected else "")


def test_the_role_and_the_gate_know_the_same_names_and_the_one_of_virtio_comes_first() -> None:
    assert module.names_of(ID) == gate.names_of(ID)
    assert module.names_of(ID)[0] == "virtio-2a7f3e10-0c4e-4b52-9"
