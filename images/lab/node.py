"""One node of the lab: an overlay over the shared root filesystem, booted by systemd-nspawn."""

import os
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from images.lab import cgroups, configuration
from images.lab.configuration import NodeSpec
from images.lab.settings import MTU, Settings
from stacks.errors import StakeyardError
from stacks.text import last_line

_HERE = Path(__file__).parent
_DEVICES = ("/dev/net/tun", "/dev/kvm", "/dev/vhost-net", "/dev/fuse")
_ENVIRONMENT = (
    "HOME=/root",
    "TERM=xterm",
    "LANG=C.UTF-8",
    "OS_CLOUD=lab",
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
)


def is_leader(status: str) -> bool:
    """Whether the text of a /proc/PID/status is that of a node's own PID 1 (guests in containers lie deeper)."""
    fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    return fields.get("Name", "").strip() == "systemd" and fields.get("NSpid", "").split()[1:] == ["1"]


@dataclass(frozen=True)
class Node:
    """A node that may or may not run now."""

    settings: Settings
    spec: NodeSpec

    @property
    def directory(self) -> Path:
        return self.settings.state / "nodes" / self.spec.role

    @property
    def base(self) -> Path:
        return self.settings.state / "base"

    @property
    def cgroup(self) -> str:
        return f"{self.settings.cgroup}/{self.spec.role}"

    @property
    def console(self) -> Path:
        return self.settings.state / "log" / f"console-{self.spec.role}.log"

    def leader(self) -> int | None:
        """Process id of the node's PID 1, or None when it does not run."""
        for process in sorted(cgroups.processes(self.cgroup)):
            try:
                if is_leader(Path(f"/proc/{process}/status").read_text()):
                    return process
            except (FileNotFoundError, ProcessLookupError):
                continue
        return None

    def configure(self, files: bytes, log: IO[str]) -> None:
        """Write the configuration into the node's overlay, in a mount namespace that ends with this call."""
        for name in ("upper", "work", "root"):
            (self.directory / name).mkdir(parents=True, exist_ok=True)
        # With arguments instead of paths in the text: this checkout may lie anywhere.
        script = (
            'mount -t overlay overlay -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work" "$2/root" && '
            'mount --bind /proc "$2/root/proc" && '
            'chroot "$2/root" tar -x -p --no-overwrite-dir -C / -f - && '
            'cat "$3" > "$2/root/run/configure.sh" && '
            'chroot "$2/root" bash /run/configure.sh "$4" "$5"'
        )
        arguments = [self.base, self.directory, configuration.FILES / "configure.sh", self.spec.role]
        command = ["unshare", "--mount", "sh", "-ec", script, "sh", *map(str, arguments), self.settings.instances]
        subprocess.run(command, input=files, check=True, stdout=log, stderr=log)

    def start(self) -> None:
        """Boot the node unless it runs; return when its system bus answers."""
        launched = self._launch() if self.leader() is None else None
        limit = time.monotonic() + 60
        while time.monotonic() < limit and (launched is None or launched.poll() is None):
            if self.leader() and self.succeeds("test", "-S", "/run/dbus/system_bus_socket"):
                subprocess.run(["ip", "link", "set", f"vb-{self.spec.machine}", "mtu", str(MTU)], check=True)
                return
            time.sleep(0.3)
        told = last_line(self.console.read_text(errors="replace"), "it wrote nothing")[:300]
        raise StakeyardError(f"Node {self.spec.role} of the lab did not boot: {told} (log: {self.console}).")

    def _launch(self) -> subprocess.Popen[bytes]:
        devices = [f"--bind={device}" for device in _DEVICES if Path(device).exists()]
        volumes = self.settings.state / "volumes"
        with self.console.open("w") as console:
            return subprocess.Popen(
                [
                    "unshare",
                    "--mount",
                    "sh",
                    str(_HERE.parent / "launch.sh"),
                    self.cgroup,
                    str(self.base),
                    str(self.directory),
                    "--capability=all",
                    f"--machine={self.spec.machine}",
                    f"--hostname={self.spec.hostname}",
                    "--network-veth",
                    f"--network-bridge={self.settings.bridge}",
                    # one directory for both nodes, as a shared file system would be
                    f"--bind={volumes}:/srv/volumes",
                    *devices,
                ],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                start_new_session=True,
                # Neutron writes sysctls.
                env={**os.environ, "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "1"},
            )

    def enter(self, *command: str) -> list[str]:
        """The command line that runs `command` inside the node."""
        leader = self.leader()
        if leader is None:
            raise StakeyardError(f"Node {self.spec.role} of the lab does not run: start it with `stakeyard lab up`.")
        namespaces = ("--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup")
        nsenter = ["nsenter", "--target", str(leader), *namespaces, "--wdns=/root", "--"]
        return [*nsenter, "env", "-i", *_ENVIRONMENT, *command]

    def run(self, command: Sequence[str], log: IO[str] | None = None, text: str = "") -> None:
        """Run a command inside the node, with `text` on its standard input; raise when it fails."""
        subprocess.run(self.enter(*command), input=text, text=True, check=True, stdout=log, stderr=log)

    def succeeds(self, *command: str) -> bool:
        """Whether a command inside the node exits with 0."""
        entered = self.enter(*command)
        return subprocess.run(entered, stdin=subprocess.DEVNULL, capture_output=True, check=False).returncode == 0

    def stop(self, seconds: float = 40) -> None:
        """Power the node off; kill what is left of it after that time."""
        leader = self.leader()
        if leader is not None:
            # systemd's own signal for "power off"
            subprocess.run(["kill", "-s", "RTMIN+4", str(leader)], check=False)
            limit = time.monotonic() + seconds
            while cgroups.processes(self.cgroup) and time.monotonic() < limit:
                time.sleep(0.2)
        cgroups.kill(self.cgroup)
