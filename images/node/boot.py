"""Boot an image under QEMU with a metadata service of its own and log in: the proof that an image works.

`python -m images.node.boot [DISK [COMMAND...]]` prints the seconds from power on to a shell over SSH, by the clock and
of CPU. Without DISK, or with `current`, it is the current image with direct kernel boot; with a `bootable.qcow2` it is
the way other clouds boot.
"""

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from images.node.build import COMMAND_LINE, directory
from stacks.errors import StakeyardError

TIMEOUT = 600.0  # seconds; an emulated guest on a busy machine is slow


@dataclass(frozen=True)
class Guest:
    """A running guest and how to log in."""

    pid: int
    port: int
    directory: Path

    def ssh(self, command: str) -> subprocess.CompletedProcess[str]:
        """Run a command over SSH; the host key is the one that the guest published."""
        options = {
            "Port": self.port,
            "IdentityFile": self.directory / "key",
            "IdentitiesOnly": "yes",
            "UserKnownHostsFile": self.directory / "known_hosts",
            "GlobalKnownHostsFile": "/dev/null",
            "StrictHostKeyChecking": "yes",
            "ConnectTimeout": 15,
            "LogLevel": "ERROR",
        }
        arguments = [f"-o{name}={value}" for name, value in options.items()]
        return subprocess.run(
            ["ssh", "-F", "/dev/null", *arguments, "stakeyard@127.0.0.1", command],
            check=False,
            capture_output=True,
            text=True,
            timeout=120,
        )

    def cpu_seconds(self) -> float:
        """CPU time that the emulator has used so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def command(disk: Path, kernel: Path | None, port: int, metadata: str, accelerator: str = "tcg") -> list[str]:
    """The QEMU command line; the guest's network is the metadata service's own, so that it can be reached."""
    network = (
        "user,id=net,ipv6=off,net=169.254.169.0/24,dhcpstart=169.254.169.15,host=169.254.169.2,dns=169.254.169.3,"
        f"restrict=on,hostfwd=tcp:127.0.0.1:{port}-:22,guestfwd=tcp:169.254.169.254:80-cmd:{metadata}"
    )
    accel = f"{accelerator},tb-size=128" if accelerator == "tcg" else accelerator
    line = ["qemu-system-x86_64", "-accel", accel, "-cpu", "max" if accelerator == "tcg" else "host"]
    line += ["-m", "1024", "-smp", "1", "-nographic", "-monitor", "none", "-snapshot", "-no-reboot"]
    line += ["-smbios", "type=1,product=OpenStack Nova", "-netdev", network, "-device", "virtio-net-pci,netdev=net"]
    line += ["-drive", f"file={disk},if=virtio,format=qcow2", "-device", "virtio-rng-pci"]
    if kernel:
        line += ["-kernel", str(kernel), "-initrd", str(kernel.with_name("initrd.img")), "-append", COMMAND_LINE]
    return line


@contextlib.contextmanager
def boot(disk: Path, kernel: Path | None) -> Iterator[Guest]:
    """Start a guest that ends with the block, whatever happens in it."""
    with tempfile.TemporaryDirectory(prefix="stakeyard-boot-") as name:
        work = Path(name)
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", work / "key"], check=True)
        (work / "public_key").write_text((work / "key.pub").read_text())
        port = _free_port()
        metadata = f"{sys.executable} -I {Path(__file__).with_name('metadata.py')} {work}"
        with (work / "console").open("w") as console:
            process = subprocess.Popen(
                command(disk, kernel, port, metadata), stdin=subprocess.DEVNULL, stdout=console, stderr=console
            )
            try:
                yield Guest(process.pid, port, work)
            finally:
                process.kill()
                process.wait()


def wait(guest: Guest) -> None:
    """Return when a command has run over SSH. Raises StakeyardError with the end of the console if it never does."""
    deadline = time.monotonic() + TIMEOUT
    while time.monotonic() < deadline:
        posted = guest.directory / "host_key"
        if posted.is_file() and posted.read_text():
            (guest.directory / "known_hosts").write_text(f"[127.0.0.1]:{guest.port} {posted.read_text()}\n")
            with contextlib.suppress(subprocess.TimeoutExpired):
                if guest.ssh("true").returncode == 0:
                    return
        if not Path(f"/proc/{guest.pid}/stat").exists():
            break
        time.sleep(0.5)
    end = (guest.directory / "console").read_text(errors="replace")[-400:]
    raise StakeyardError(f"The image did not let anyone in within {TIMEOUT:.0f} s; its console ends with: {end}")


def main() -> None:
    """Boot, log in, print the times."""
    image = directory() / "current"
    chosen = sys.argv[1] if len(sys.argv) > 1 else "current"
    disk, kernel = (image / "disk.qcow2", image / "vmlinuz") if chosen == "current" else (Path(chosen), None)
    begin = time.monotonic()
    with boot(disk, kernel) as guest:
        wait(guest)
        print(f"boot to SSH: {time.monotonic() - begin:.1f} s, {guest.cpu_seconds():.1f} s of CPU")
        for text in sys.argv[2:] or ["uname -r"]:
            print(guest.ssh(text).stdout.rstrip())


if __name__ == "__main__":
    main()
