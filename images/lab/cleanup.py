"""Removes what a lab leaves on the host, also one that was killed; touches nothing that is not surely the lab's."""

import contextlib
import subprocess
from collections.abc import Mapping
from pathlib import Path

from images.lab import cgroups, network
from images.lab.settings import Settings

_PROPAGATE = Path("/run/systemd/nspawn/propagate")


def loops_of(backing: Mapping[str, str], settings: Settings) -> list[str]:
    """Loop devices whose backing file lies in this lab's instance directory (a path that no host has)."""
    return sorted(device for device, file in backing.items() if file.startswith(settings.instances + "/"))


def mounts_below(mounts: str, folder: Path) -> list[str]:
    """Mount points in a folder, from the text of /proc/mounts, the deepest first."""
    found = []
    for line in mounts.splitlines():
        # /proc/mounts writes a space as \\040
        target = line.split()[1].encode().decode("unicode_escape")
        if folder in Path(target).parents:
            found.append(target)
    return sorted(found, key=lambda target: len(Path(target).parts), reverse=True)


def loop_devices() -> dict[str, str]:
    """Device file -> backing file, of every loop device in use."""
    found = {}
    for entry in Path("/sys/block").glob("loop*/loop/backing_file"):
        with contextlib.suppress(OSError):
            found[f"/dev/{entry.parent.parent.name}"] = entry.read_text().rstrip("\n")
    return found


def clean(settings: Settings) -> None:
    """Kill and remove everything that a lab has outside its state directory."""
    for group in (settings.work_cgroup, settings.cgroup):
        cgroups.kill(group)
    for target in mounts_below(Path("/proc/mounts").read_text(), settings.state):
        if subprocess.run(["umount", target], capture_output=True, check=False).returncode != 0:
            subprocess.run(["umount", "--lazy", target], check=True)
    for device in loops_of(loop_devices(), settings):
        subprocess.run(["losetup", "--detach", device], capture_output=True, check=False)
    network.down(settings)
    for machine in settings.machines:  # where systemd-nspawn passes mounts into a node; empty
        with contextlib.suppress(OSError):
            (_PROPAGATE / machine).rmdir()
    for group in (settings.work_cgroup, settings.cgroup):
        cgroups.remove(group)


def leftovers(settings: Settings) -> list[str]:
    """What there is of the lab on the host now, outside its state directory, in words."""
    names = (settings.work_cgroup, settings.cgroup)
    found = [f"process {process}" for name in names for process in sorted(cgroups.processes(name))]
    found += [f"mount {target}" for target in mounts_below(Path("/proc/mounts").read_text(), settings.state)]
    found += [f"loop device {device}" for device in loops_of(loop_devices(), settings)]
    found += [f"network interface {interface}" for interface in network.present(settings)]
    if settings.table in network.tables():
        found.append(f"nftables table {settings.table}")
    found += [f"control group {group}" for name in names for group in cgroups.groups(name) if group.exists()]
    return found
