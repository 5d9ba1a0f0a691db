"""SSH to nodes whose host key is already known: no first contact is ever taken on trust.

Everything a session needs lives in one private directory on tmpfs, and goes away with it.
"""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from stacks.cancellation import pause
from stacks.errors import StakeyardError
from stacks.text import last_line

TMPFS = Path("/dev/shm")  # noqa: S108 - memory only, never a disk; the directory inside it is private
RETRY_SECONDS = 3.0
PERSIST_SECONDS = 60


@dataclass(frozen=True)
class Host:
    """A node as SSH sees it.

    `host_key` is the public key line of the node (`ssh-ed25519 AAAA...`), read over a trusted path beforehand.
    """

    name: str
    address: str
    host_key: str
    user: str
    private_key_file: str
    port: int = 22
    connection: str = "ssh"
    become: bool = True


@dataclass(frozen=True)
class Session:
    """An SSH configuration for some hosts, each reached by its node name; connections are shared and kept open."""

    directory: Path
    hosts: tuple[Host, ...]

    @property
    def config(self) -> Path:
        """The `ssh -F` file."""
        return self.directory / "ssh_config"

    def run(self, name: str, command: str, stdin: str = "", timeout: float = 120) -> subprocess.CompletedProcess[str]:
        """Run a shell command on host `name` as its user; the caller looks at the return code (255: no connection)."""
        try:
            return subprocess.run(
                ["ssh", "-F", str(self.config), name, command],
                input=stdin,
                text=True,
                capture_output=True,
                timeout=timeout,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return subprocess.CompletedProcess([], 255, "", f"no answer in {timeout:.0f} s")


@contextmanager
def private_directory() -> Iterator[Path]:
    """A directory that only we can read, in memory, removed whatever happens.

    Raises StakeyardError when the machine has no tmpfs at /dev/shm: secrets must not reach a disk.
    """
    if not is_tmpfs(TMPFS, Path("/proc/self/mounts").read_text()):
        raise StakeyardError(f"{TMPFS} is not a tmpfs: mount one there, since secrets pass through it on their way.")
    for left in left_behind(TMPFS):
        shutil.rmtree(left, ignore_errors=True)
    directory = Path(tempfile.mkdtemp(prefix=f"stakeyard-{os.getpid()}-", dir=TMPFS))
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def left_behind(memory: Path) -> list[Path]:
    """Private directories whose process was killed before it could remove them."""
    return [path for path in memory.glob("stakeyard-*-*") if _ours_and_dead(path)]


def _ours_and_dead(path: Path) -> bool:
    try:
        return path.stat().st_uid == os.getuid() and not Path("/proc", path.name.split("-")[1]).exists()
    except FileNotFoundError:  # another session ended just now
        return False


def is_tmpfs(path: Path, mounts: str) -> bool:
    """Whether `path` is a tmpfs mount according to the text of /proc/self/mounts."""
    types = [fields[2] for line in mounts.splitlines() if (fields := line.split())[1] == str(path)]
    return bool(types) and types[-1] == "tmpfs"


@contextmanager
def session(hosts: Sequence[Host]) -> Iterator[Session]:
    """A session to `hosts`; its shared connections are closed and its files removed at the end."""
    with private_directory() as directory:
        opened = Session(directory, tuple(hosts))
        _write(directory / "known_hosts", known_hosts(hosts))
        _write(opened.config, ssh_config(hosts, directory))
        try:
            yield opened
        finally:
            for socket in directory.glob("cm-*"):
                command = ["ssh", "-F", str(opened.config), "-o", f"ControlPath={socket}", "-O", "exit", "any"]
                subprocess.run(command, capture_output=True, check=False)


def known_hosts(hosts: Sequence[Host]) -> str:
    """A known_hosts file with exactly the pinned key of each host, under the node's name."""
    for host in hosts:
        if host.connection == "ssh" and not host.host_key.startswith("ssh-ed25519 "):
            raise StakeyardError(f"{host.name}: no ed25519 host key is pinned, so SSH to it is refused.")
    return "".join(f"{host.name} {host.host_key}\n" for host in hosts)


def ssh_config(hosts: Sequence[Host], directory: Path) -> str:
    """An ssh_config that refuses any other key, any password, any agent and any forwarding."""
    blocks = [
        "\n".join(
            [
                f"Host {host.name}",
                f"  HostName {host.address}",
                f"  Port {host.port}",
                f"  User {host.user}",
                f'  IdentityFile "{host.private_key_file}"',
                f"  HostKeyAlias {host.name}",
            ]
        )
        for host in hosts
    ]
    common = f"""Host *
  IdentitiesOnly yes
  IdentityAgent none
  BatchMode yes
  PasswordAuthentication no
  StrictHostKeyChecking yes
  UserKnownHostsFile {directory}/known_hosts
  GlobalKnownHostsFile /dev/null
  UpdateHostKeys no
  HostKeyAlgorithms ssh-ed25519
  CheckHostIP no
  ForwardAgent no
  ForwardX11 no
  ConnectTimeout 10
  ServerAliveInterval 15
  ServerAliveCountMax 8
  ControlMaster auto
  ControlPath {directory}/cm-%C
  ControlPersist {PERSIST_SECONDS}
  LogLevel ERROR
"""
    return "\n".join([*blocks, common])


def wait_until_ready(
    opened: Session,
    host: Host,
    progress: Callable[[str], None],
    *,
    timeout: float = 900,
    sleep: Callable[[float], None] = pause,
) -> None:
    """Wait until SSH answers with the pinned key and cloud-init has finished.

    Raises StakeyardError after `timeout` seconds, and at once when the host shows another key or refuses ours.
    """
    started = time.monotonic()
    # Without cloud-init there is nothing to wait for; with it, the first boot still changes users and mounts.
    ready = "test ! -d /var/lib/cloud || test -f /var/lib/cloud/instance/boot-finished"
    refusals = 0
    while True:
        result = opened.run(host.name, ready, timeout=60)
        if result.returncode == 0:
            return
        reason = last_line(result.stderr) if result.returncode == 255 else "cloud-init is still at work"
        if "host key verification failed" in result.stderr.lower():
            raise StakeyardError(
                f"{host.name}: the server at {host.address} shows another host key than the one pinned for it: "
                "find out which machine answers there before anything else."
            )
        # The key reaches the user's authorized_keys some seconds after sshd starts.
        refusals = refusals + 1 if "permission denied" in result.stderr.lower() else 0
        waited = time.monotonic() - started
        if waited > timeout or refusals * RETRY_SECONDS > 120:
            raise StakeyardError(
                f"{host.name}: SSH as {host.user}@{host.address} was not ready after {waited:.0f} s ({reason})."
            )
        progress(f"waiting for SSH ({waited:.0f} s): {reason}")
        sleep(RETRY_SECONDS)


def _write(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
