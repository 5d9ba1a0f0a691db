"""The golden image for clouds that boot a disk by themselves: GPT, GRUB for BIOS and for UEFI, the same file system.

Written without a mount or a loop device: the partitions' contents are placed by offset, and GRUB's two stages get the
addresses that `grub-install` would write into them.
"""

import json
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from images.node import build
from images.node.build import Report
from stacks.errors import StakeyardError

NAME = "bootable.qcow2"
SECTOR = 512
MIB = 1024 * 1024
PROGRAMS = ("grub-mkimage", "sfdisk", "mkfs.vfat", "mmd", "mcopy", "qemu-img")
GRUB = Path("/usr/lib/grub")
# `stakeyard.grow` has the first boot grow the root partition to the disk that the flavor gives.
COMMAND_LINE = "root=LABEL=root ro console=tty0 console=ttyS0 quiet noresume stakeyard.grow"
# The links in / lead to the newest kernel, so an update of the kernel needs no change here.
CONFIG = f"search --no-floppy --label root --set=root\nlinux /vmlinuz {COMMAND_LINE}\ninitrd /initrd.img\nboot\n"
MODULES = ("part_gpt", "ext2", "search", "search_label", "linux", "boot", "serial", "terminal", "echo")
BIOS_BOOT = "21686148-6449-6E6F-744E-656564454649"
ESP = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"
ROOT = "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709"  # x86-64 root: systemd-repart grows a partition of this type
ESP_SIZE = 16 * MIB


@dataclass(frozen=True)
class Layout:
    """Offsets in bytes."""

    bios: int
    esp: int
    root: int
    size: int


def layout(root_size: int) -> Layout:
    """Where the partitions are; the root's is the last, so that it can grow."""
    return Layout(bios=MIB, esp=2 * MIB, root=2 * MIB + ESP_SIZE, size=2 * MIB + ESP_SIZE + root_size + MIB)


def table(where: Layout) -> str:
    """Input of sfdisk."""
    rows = [(where.bios, where.esp, BIOS_BOOT), (where.esp, where.root, ESP), (where.root, where.size - MIB, ROOT)]
    lines = [f"start={a // SECTOR}, size={(b - a) // SECTOR}, type={kind}" for a, b, kind in rows]
    return "\n".join(["label: gpt", *lines]) + "\n"


def first_stage(boot: bytes, core_sector: int) -> bytes:
    """GRUB's boot.img with the address of the second stage; the partition table's part of the sector is left out.

    Offsets are GRUB_BOOT_MACHINE_KERNEL_SECTOR (0x5c) and _PART_START (0x1be) of grub/i386/pc/boot.h.
    """
    return boot[:0x5C] + struct.pack("<Q", core_sector) + boot[0x64:0x1B8]


def second_stage(core: bytes, core_sector: int) -> bytes:
    """GRUB's core.img with the address and length of its rest, in the block list that ends its first sector.

    An entry (grub/i386/pc/boot.h) is the first sector (8 bytes), the number of sectors and the segment (2 bytes each).
    """
    rest = -(-len(core) // SECTOR) - 1
    segment = core[SECTOR - 2 : SECTOR]
    return core[: SECTOR - 12] + struct.pack("<QH", core_sector + 1, rest) + segment + core[SECTOR:]


def bootable(report: Report) -> Path:
    """Return the bootable form of the current image; make it first if it is not there.

    Raises StakeyardError if this machine lacks a program for that.
    """
    image = build.build(report)
    target = image / NAME
    if target.is_file():
        return target
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    missing += [str(GRUB / name) for name in ("i386-pc", "x86_64-efi") if not (GRUB / name).is_dir()]
    if missing:
        raise StakeyardError(
            f"{', '.join(missing)} missing on this machine: install the packages in tools/packages.txt."
        )
    with build.locked(report):
        if not target.is_file():
            report("node image: make it bootable")
            try:
                _make(image, target)
            except subprocess.CalledProcessError as error:
                raise StakeyardError(f"Making the image bootable failed in `{error.cmd[0]}`: {error.stderr}") from error
    return target


def _make(image: Path, target: Path) -> None:
    with tempfile.TemporaryDirectory(prefix=".new-bootable-", dir=image.parent) as name:
        work = Path(name)
        root, disk, esp = work / "root.raw", work / "disk.raw", work / "esp.raw"
        _run(["qemu-img", "convert", "-O", "raw", image / "disk.qcow2", root])
        where = layout(root.stat().st_size)
        with disk.open("wb") as file:
            file.truncate(where.size)
        _run(["sfdisk", "--quiet", disk], text=table(where))
        core = _grub(work, "i386-pc", "biosdisk")
        efi = _grub(work, "x86_64-efi", "efi_gop")
        with esp.open("wb") as file:
            file.truncate(ESP_SIZE)
        _run(["mkfs.vfat", "-n", "ESP", esp])
        _run(["mmd", "-i", esp, "::/EFI", "::/EFI/BOOT"])
        _run(["mcopy", "-i", esp, efi, "::/EFI/BOOT/BOOTX64.EFI"])
        sector = where.bios // SECTOR
        with disk.open("r+b") as file:
            file.write(first_stage((GRUB / "i386-pc/boot.img").read_bytes(), sector))
            file.seek(where.bios)
            file.write(second_stage(core.read_bytes(), sector))
        for part, offset in ((esp, where.esp), (root, where.root)):
            _run(
                ["dd", f"if={part}", f"of={disk}", f"seek={offset}", "oflag=seek_bytes", "conv=notrunc,sparse", "bs=1M"]
            )
        _run(["qemu-img", "convert", "-O", "qcow2", "-c", disk, work / NAME])
        manifest = json.loads((image / "manifest.json").read_text())
        manifest["files"][NAME] = build.sha256(work / NAME)
        (work / "manifest.json").write_text(json.dumps(manifest, indent=2, sort_keys=True) + "\n")
        (work / NAME).rename(target)
        (work / "manifest.json").rename(image / "manifest.json")


def _grub(work: Path, kind: str, module: str) -> Path:
    """GRUB with everything it needs in one file: modules and configuration."""
    config, target = work / "grub.cfg", work / kind
    config.write_text(CONFIG)
    where = ["--format", kind, "--output", str(target), "--config", str(config), "--prefix", "/boot/grub"]
    _run(["grub-mkimage", *where, module, *MODULES])
    return target


def _run(command: Sequence[str | Path], text: str = "") -> None:
    subprocess.run([str(part) for part in command], check=True, input=text, text=True, capture_output=True)
