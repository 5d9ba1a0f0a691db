#!/usr/bin/python
"""Mount an attached block volume, by its cloud id, through a systemd mount unit."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule  # type: ignore[import-untyped]

DOCUMENTATION = r"""
module: volume_mount
short_description: Give an attached volume a file system if it is blank, and mount it
description:
  - Finds the device by the first 20 characters of the volume's id, as the hypervisor names it.
  - A blank volume gets ext4. A volume with anything else on it is refused and never touched.
  - The mount unit is named after the path, so that C(RequiresMountsFor=) of a service finds it.
options:
  device_id: {description: Id of the volume in the cloud., type: str, required: true}
  path: {description: Where to mount it., type: path, required: true}
  label: {description: Label of a new file system (at most 16 characters)., type: str, default: stakeyard}
  format: {description: Whether a blank volume may be given a file system., type: bool, default: true}
  wait: {description: Seconds to wait for the device., type: int, default: 60}
author: [Stakeyard]
"""

EXAMPLES = r"""
- name: Mount the chain data.
  volume_mount: {device_id: 2a7f3e10-0c4e-4b52-9d43-0a1b2c3d4e5f, path: /var/lib/bitcoind}
"""

RETURN = r"""
device: {description: The device., type: str, returned: always}
formatted: {description: Whether a new file system was made., type: bool, returned: always}
"""

BY_ID = Path("/dev/disk/by-id")
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


def device_of(device_id: str) -> Path:
    """Path of the device: virtio block devices carry the first 20 characters of the volume's id as their serial."""
    return BY_ID / f"virtio-{device_id[:20]}"


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


def mounted_device(path: str, mounts: str) -> str:
    """Device that /proc/mounts shows at `path` (the last one wins), or nothing."""
    found = [line.split()[0] for line in mounts.splitlines() if line.split()[1:2] == [path]]
    return found[-1] if found else ""


def wait_for(device: Path, seconds: int) -> None:
    """Wait until the device is there; it may be attached while the server boots."""
    end = time.monotonic() + seconds
    while not device.exists():
        if time.monotonic() > end:
            raise RefusalError(
                f"{device} did not appear within {seconds} s: the volume is not attached to this server."
            )
        time.sleep(1)


def write_unit(path: Path, content: str) -> None:
    """Replace a unit file in one rename."""
    fresh = path.with_name(f"{path.name}.new")
    fresh.write_text(content)
    fresh.chmod(0o644)
    fresh.replace(path)


def run(module: AnsibleModule) -> dict[str, Any]:
    """Look, decide, act; nothing is touched in check mode."""
    mount = Path(module.params["path"])
    device = device_of(module.params["device_id"])
    wait_for(device, 0 if module.check_mode else module.params["wait"])
    unit = UNITS / unit_name(str(mount))
    wanted = UNIT.format(path=mount, device=device)
    written = unit.exists() and unit.read_text() == wanted
    current = mounted_device(str(mount), Path("/proc/mounts").read_text())
    if current and Path(current).resolve() != device.resolve():
        raise RefusalError(f"{mount} is already mounted from {current}, not from {device}: unmount it first.")
    if current and written:
        return {"changed": False, "device": str(device), "formatted": False}
    action = "mount"
    if not current:
        status, output, _ = module.run_command(["blkid", "-p", "-o", "export", str(device)])
        action = decide(status, output, device, module.params["format"])
        if mount.is_dir() and any(mount.iterdir()):
            raise RefusalError(
                f"{mount} on the root disk is not empty: move its content away, the volume would hide it."
            )
    outcome = {"changed": True, "device": str(device), "formatted": action == "format"}
    if module.check_mode:
        return outcome
    if action == "format":
        module.run_command(["mkfs.ext4", "-q", "-m", "0", "-L", module.params["label"], str(device)], check_rc=True)
    mount.mkdir(mode=0o755, parents=True, exist_ok=True)
    write_unit(unit, wanted)
    module.run_command(["systemctl", "daemon-reload"], check_rc=True)
    module.run_command(["systemctl", "enable", "--now", unit.name], check_rc=True)
    if action == "format" and (mount / "lost+found").is_dir():
        (mount / "lost+found").rmdir()  # e2fsck makes it again when it needs one
    return outcome


def main() -> None:
    """Ansible's entry."""
    module = AnsibleModule(
        argument_spec={
            "device_id": {"type": "str", "required": True},
            "path": {"type": "path", "required": True},
            "label": {"type": "str", "default": "stakeyard"},
            "format": {"type": "bool", "default": True},
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
