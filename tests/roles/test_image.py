"""The golden image by itself: it boots from its own boot loader, as on clouds that take a disk and nothing else."""

import subprocess
from pathlib import Path

import pytest

from images.node import boot
from images.node.bootable import bootable

pytestmark = pytest.mark.host


def test_a_bare_disk_boots_grows_and_lets_in_its_operator_by_the_key_it_published(tmp_path: Path) -> None:
    disk = tmp_path / "disk.qcow2"
    image = bootable(print)
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", image, "-F", "qcow2", disk, "4G"], check=True)
    with boot.boot(disk, kernel=None) as guest:
        boot.wait(guest)  # the host key is the one that it posted to the metadata service
        assert guest.ssh("systemctl list-units --state=failed --no-legend").stdout == ""
        assert "BOOT_IMAGE=/vmlinuz" in guest.ssh("cat /proc/cmdline").stdout
        size = int(guest.ssh("df --output=size --block-size=1M / | tail -1").stdout)
        assert size > 3800, "the root file system did not grow to the disk that the flavor gives"
        assert guest.ssh("cloud-init status").stdout == "status: done\n"
        assert guest.ssh("sudo -n id -u").stdout == "0\n"
