"""Whether guests really boot under KVM here.

The device file is no proof: it may open, and ordinary kernels hang all the same.
"""

import os
import select
import subprocess
import time
from pathlib import Path

from images.lab.configuration import Virt

# A kernel without a root filesystem ends here, and everything before it has worked.
_PROOF = "Unable to mount root fs"
_SECONDS = 30.0


def booted(serial: str) -> bool:
    """Whether the text of a guest's serial line shows a kernel that came up."""
    return _PROOF in serial


def probe(base: Path, seconds: float = _SECONDS) -> bool:
    """Boot the kernel of the base system under KVM and read its serial line until it is up or the time is over."""
    if not Path("/dev/kvm").exists():
        return False
    qemu = ["/usr/bin/qemu-system-x86_64", "-accel", "kvm", "-cpu", "host", "-m", "256", "-nodefaults", "-no-reboot"]
    qemu += ["-display", "none", "-serial", "stdio", "-kernel", "/usr/lib/stakeyard-lab/vmlinuz"]
    qemu += ["-append", "console=ttyS0 panic=-1"]
    script = 'mount --bind /dev "$0/dev" && exec chroot "$0" "$@"'
    unshare = ["unshare", "--mount", "--pid", "--fork", "--kill-child", f"--mount-proc={base}/proc"]
    with subprocess.Popen(
        [*unshare, "sh", "-c", script, str(base), *qemu],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        try:
            return booted(_read(process, seconds))
        finally:
            process.kill()


def _read(process: subprocess.Popen[bytes], seconds: float) -> str:
    assert process.stdout is not None  # noqa: S101  # it is a pipe
    serial = ""
    limit = time.monotonic() + seconds
    while not booted(serial) and (left := limit - time.monotonic()) > 0:
        if select.select([process.stdout], [], [], left)[0]:
            data = os.read(process.stdout.fileno(), 65536)
            if not data:
                break
            serial += data.decode(errors="replace")
    return serial


def hypervisors(kvm: bool, cgroup_v1: bool) -> tuple[Virt, Virt]:
    """What the controller and the second node compute with.

    Containers are the fast ones where guests must be emulated, but libvirt's need version 1 of the control groups.
    """
    if kvm:
        return "kvm", "kvm"
    return "qemu", "lxc" if cgroup_v1 else "qemu"
