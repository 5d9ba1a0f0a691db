"""The bootable form of the golden image: where its parts are, and what GRUB's two stages are told."""

import struct
import subprocess
from pathlib import Path

import pytest

from images.node import bootable
from images.node.bootable import MIB, SECTOR


def test_the_partition_table_has_room_for_every_part_and_ends_with_the_root(tmp_path: Path) -> None:
    where = bootable.layout(2048 * MIB)
    disk = tmp_path / "disk"
    with disk.open("wb") as file:
        file.truncate(where.size)
    subprocess.run(["sfdisk", "--quiet", disk], input=bootable.table(where), text=True, check=True)
    dump = subprocess.run(["sfdisk", "--dump", disk], check=True, capture_output=True, text=True).stdout
    rows = [line.split(" : ")[1] for line in dump.splitlines() if " : " in line]
    assert [row.split("type=")[1].split(",")[0] for row in rows] == [bootable.BIOS_BOOT, bootable.ESP, bootable.ROOT]
    starts = [int(row.split("start=")[1].split(",")[0]) * SECTOR for row in rows]
    assert starts == [where.bios, where.esp, where.root]
    assert int(rows[-1].split("size=")[1].split(",")[0]) * SECTOR == 2048 * MIB


def test_the_first_stage_learns_where_the_second_is_and_leaves_the_partition_table() -> None:
    boot = bytes(range(256)) * 2
    stage = bootable.first_stage(boot, 2048)
    assert len(stage) == 0x1B8
    assert struct.unpack_from("<Q", stage, 0x5C) == (2048,)
    assert stage[:0x5C] + stage[0x64:] == boot[:0x5C] + boot[0x64:0x1B8]


@pytest.mark.parametrize(("size", "rest"), [(3 * SECTOR, 2), (3 * SECTOR + 1, 3)])
def test_the_second_stage_learns_where_its_rest_is_and_how_long(size: int, rest: int) -> None:
    core = b"\xaa" * (SECTOR - 2) + b"\x20\x08" + b"\xbb" * (size - SECTOR)
    stage = bootable.second_stage(core, 2048)
    assert len(stage) == len(core)
    assert struct.unpack_from("<QHH", stage, SECTOR - 12) == (2049, rest, 0x820)
    assert stage[SECTOR:] == core[SECTOR:]


def test_the_kernel_is_found_by_links_that_survive_its_update() -> None:
    assert "linux /vmlinuz " in bootable.CONFIG
    assert "initrd /initrd.img" in bootable.CONFIG
