#!/usr/bin/python
"""Mount an attached block volume, by its cloud id, through a systemd mount unit."""

from __future__ import annotations

import os
import struct
import time
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule  # type: ignore[import-untyped]

DOCUMENTATION = r"""
module: volume_mount
short_description: Give an attached volume a file system if it is blank, mount it, and let the file system fill it
description:
  - Finds the device by the volume's id, which hypervisors give on as the serial number of the disk.
  - A blank volume gets ext4. A volume with anything else on it is refused and never touched.
  - Where the volume has become larger, ext4 grows while it is mounted; nothing that uses it has to stop.
  - The mount unit is named after the path, so that C(RequiresMountsFor=) of a service finds it.
options:
  device_id: {description: Id of the volume in the cloud., type: str, required: true}
  path: {description: Where to mount it., type: path, required: true}
  label: {description: Label of a new file system (at most 16 characters)., type: str, default: stakeyard}
  format: {description: Whether a blank volume may be given a file system., type: bool, default: true}
  size_gib: {description: Size of the volume in the cloud in GiB; 0 where it is not known., type: int, default: 0}
  wait: {description: Seconds to wait for the device; and for it to have its size., type: int, default: 60}
author: [Stakeyard]
"""

EXAMPLES = r"""
- name: Mount the chain data.
  volume_mount: {device_id: 2a7f3e10-0c4e-4b52-9d43-0a1b2c3d4e5f, path: /var/lib/bitcoind, size_gib: 1500}
"""

RETURN = r"""
device: {description: The device., type: str, returned: always}
formatted: {description: Whether a new file system was made., type: bool, returned: always}
grown: {description: Whether the file system was made larger., type: bool, returned: always}
"""

BY_ID = Path("/dev/disk/by-id")
NAMES = (
    "virtio-{short}",
    "virtio-{whole}",
    "scsi-0QEMU_QEMU_HARDDISK_{short}",
    "scsi-0QEMU_QEMU_HARDDISK_{whole}",
    "wwn-0x{digits}",
)
"""What udev calls a volume: virtio-blk has room for 20 characters of the id; QEMU's SCSI disks show 20 or all, by the
version of libvirt; ESXi makes a World Wide Name of it. The gate of the role signer has the same list."""
SLACK = 128 << 20
"""Bytes that may stay unused at the end of a device: a block group of ext4, as a last one that has no room for its own
tables is left out. Clouds enlarge volumes by whole GiB."""
ATTEMPTS = 3
"""Of resize2fs, which may read the superblock of a busy file system half written, until e2fsprogs 1.47.1."""
UNITS = Path("/etc/systemd/system")
UNIT = """\
# Managed by Stakeyard.
[Unit]
Description=Volume at {path}

[Mount]
What={device}
Where={path}
Type=ext4
Options=noatime,nodev,nosuid,noexec

[Install]
WantedBy=multi-user.target
"""


class RefusalError(Exception):
    """One sentence for the operator."""


def names_of(volume: str) -> tuple[str, ...]:
    """The names that the device of the volume of this id may have."""
    return tuple(name.format(short=volume[:20], whole=volume, digits=volume.replace("-", "")) for name in NAMES)


def find(volume: str) -> Path | None:
    """The volume's device by its name, or None. Raises RefusalError where several devices have names of the volume."""
    found = [path for name in names_of(volume) if (path := BY_ID / name).exists()]
    if len({path.resolve() for path in found}) > 1:
        raise RefusalError(
            f"several devices have names of volume {volume} ({', '.join(path.name for path in found)}): "
            "detach those that are not it."
        )
    return found[0] if found else None


def decide(status: int, output: str, device: Path, may_format: bool) -> str:
    """What to do with a device from blkid's answer to a low-level probe: `format` or `mount`; else a refusal.

    blkid ends with 2 when it finds no signature at all, or cannot read any, and with 8 when it finds several that
    contradict each other.
    """
    found = dict(line.split("=", 1) for line in output.splitlines() if "=" in line)
    if status == 2 and not found:
        if may_format:
            return "format"
        raise RefusalError(
            f"{device} shows no file system although it has been in use: it is not touched; look at the volume and "
            "repair its file system (`e2fsck`), or attach the right one."
        )
    if status == 0 and found.get("TYPE") == "ext4" and "PTTYPE" not in found:
        return "mount"
    holds = found.get("TYPE") or (f"a {found['PTTYPE']} partition table" if "PTTYPE" in found else "unclear signatures")
    raise RefusalError(
        f"{device} is neither blank nor ext4 but holds {holds}: it is not touched; attach the right volume, "
        "or wipe this one by hand if nothing on it is needed."
    )


def unit_name(path: str) -> str:
    """Name of the mount unit of a path made of plain characters, as systemd-escape --path gives it."""
    return path.strip("/").replace("-", "\\x2d").replace("/", "-") + ".mount"


def mounted_at(path: str, mounts: str) -> tuple[str, str]:
    """Device and type that /proc/mounts shows at `path` (the last one wins), or two empty texts."""
    found = [(words[0], words[2]) for line in mounts.splitlines() if (words := line.split())[1:2] == [path]]
    return found[-1] if found else ("", "")


def grows(device: int, filesystem: int) -> bool:
    """Whether a file system of so many bytes should become larger on a device of so many."""
    return device - filesystem >= SLACK


def filesystem_size(superblock: bytes) -> int | None:
    """Bytes of the file system with this superblock of ext4; None where it is none.

    It is read without a look at its checksum, which may be wrong for a moment while the file system is in use.
    """
    if len(superblock) < 1024 or struct.unpack_from("<H", superblock, 0x38) != (0xEF53,):
        return None
    (low,), (high,), (scale,) = (struct.unpack_from("<I", superblock, offset) for offset in (0x4, 0x150, 0x18))
    return int(high << 32 | low) * (1024 << int(scale))


def device_size(device: Path) -> int:
    """Bytes of a device."""
    with device.open("rb") as file:
        return file.seek(0, os.SEEK_END)


def wait_for(volume: str, seconds: int) -> Path:
    """The volume's device, when it is there; it may be attached while the server boots."""
    end = time.monotonic() + seconds
    while (device := find(volume)) is None:
        if time.monotonic() > end:
            there = ", ".join(sorted(path.name for path in BY_ID.iterdir())) if BY_ID.is_dir() else ""
            raise RefusalError(
                f"volume {volume} did not appear within {seconds} s: attach it to this server; none of its names "
                f"({', '.join(names_of(volume))}) is in {BY_ID}, which has {there or 'nothing'}."
            )
        time.sleep(1)
    return device


def wait_for_size(device: Path, wanted: int, seconds: int) -> int:
    """Bytes of the device, when they are those wanted; the hypervisor is told after the cloud has enlarged a volume."""
    end = time.monotonic() + seconds
    while (size := device_size(device)) + SLACK < wanted:
        if time.monotonic() > end:
            raise RefusalError(
                f"{device} has {gib(size)} and not the {gib(wanted)} of its volume: the hypervisor has not told this "
                "server; shut it off, start it, and run this again."
            )
        time.sleep(1)
    return size


def gib(size: int) -> str:
    """Bytes as people write them.

    >>> gib(3 << 29)
    '1.5 GiB'
    """
    return f"{round(size / (1 << 30), 1):g} GiB"


def write_unit(path: Path, content: str) -> None:
    """Replace a unit file in one rename."""
    fresh = path.with_name(f"{path.name}.new")
    fresh.write_text(content)
    fresh.chmod(0o644)
    fresh.replace(path)


def ensure_mounted(module: AnsibleModule, mount: Path, device: Path, current: str) -> str:
    """Mount the device; `current` is what is mounted there now.

    Gives what was done, or would be: `format`, `mount`, or nothing where all is as it should be.
    """
    unit = UNITS / unit_name(str(mount))
    wanted = UNIT.format(path=mount, device=device)
    written = unit.exists() and unit.read_text() == wanted
    if current and Path(current).resolve() != device.resolve():
        raise RefusalError(f"{mount} is already mounted from {current}, not from {device}: unmount it first.")
    if current and written:
        return ""
    action = "mount"
    if not current:
        status, output, _ = module.run_command(["blkid", "-p", "-o", "export", str(device)])
        action = decide(status, output, device, module.params["format"])
        if mount.is_dir() and any(mount.iterdir()):
            raise RefusalError(
                f"{mount} on the root disk is not empty: move its content away, the volume would hide it."
            )
    if module.check_mode:
        return action
    if action == "format":
        module.run_command(["mkfs.ext4", "-q", "-m", "0", "-L", module.params["label"], str(device)], check_rc=True)
    mount.mkdir(mode=0o755, parents=True, exist_ok=True)
    write_unit(unit, wanted)
    module.run_command(["systemctl", "daemon-reload"], check_rc=True)
    module.run_command(["systemctl", "enable", "--now", unit.name], check_rc=True)
    if action == "format" and (mount / "lost+found").is_dir():
        (mount / "lost+found").rmdir()  # e2fsck makes it again when it needs one
    return action


def grow(module: AnsibleModule, device: Path) -> dict[str, str]:
    """Let the ext4 on a device fill it; sizes before and after, or nothing where it does.

    In check mode the volume may still have to become larger in the cloud.
    """
    wanted = module.params["size_gib"] << 30
    if module.check_mode:
        size = max(device_size(device), wanted)
    else:
        size = wait_for_size(device, wanted, module.params["wait"])
    with device.open("rb") as file:
        file.seek(1024)
        filesystem = filesystem_size(file.read(1024))
    if filesystem is None:
        raise RefusalError(f"the superblock of {device} is not that of ext4: look at its file system (`dumpe2fs -h`).")
    if not grows(size, filesystem):
        return {}
    if not module.check_mode:
        resize(module, device)
    return {"before": f"file system of {gib(filesystem)}\n", "after": f"file system of {gib(size)}\n"}


def resize(module: AnsibleModule, device: Path) -> None:
    """Grow a mounted file system to its device."""
    for attempt in range(ATTEMPTS):
        time.sleep(attempt)
        status, output, error = module.run_command(["resize2fs", str(device)])
        if not status:
            return
    said = " ".join((error or output).split())
    raise RefusalError(f"the file system on {device} could not be made larger ({said}): see what `dmesg` says of it.")


def run(module: AnsibleModule) -> dict[str, Any]:
    """Look, decide, act; nothing is touched in check mode."""
    mount = Path(module.params["path"])
    device = wait_for(module.params["device_id"], 0 if module.check_mode else module.params["wait"])
    current, kind = mounted_at(str(mount), Path("/proc/mounts").read_text())
    action = ensure_mounted(module, mount, device, current)
    outcome = {"device": str(device), "formatted": action == "format"}
    # A new file system fills its device; and what somebody mounted here that is not ext4, the node's checks refuse.
    grown = {} if action == "format" or (current and kind != "ext4") else grow(module, device)
    outcome |= {"changed": bool(action or grown), "grown": bool(grown)}
    return {**outcome, "diff": grown} if grown else outcome


def main() -> None:
    """Ansible's entry."""
    module = AnsibleModule(
        argument_spec={
            "device_id": {"type": "str", "required": True},
            "path": {"type": "path", "required": True},
            "label": {"type": "str", "default": "stakeyard"},
            "format": {"type": "bool", "default": True},
            "size_gib": {"type": "int", "default": 0},
            "wait": {"type": "int", "default": 60},
        },
        supports_check_mode=True,
    )
    try:
        result = run(module)
    except (RefusalError, OSError) as reason:
        module.fail_json(msg=str(reason))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
