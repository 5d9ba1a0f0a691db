"""A host to test roles on: the golden image's root file system in a systemd-nspawn container, reached over SSH.

Every container has an address of 172.31.249.0/24 that it locks for its lifetime, so test runs beside each other do not
meet, and what a killed run left behind is known by its free lock. There is no way out of that network.
"""

import contextlib
import fcntl
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from images.lab import cgroups
from images.node.build import build
from stacks.errors import StakeyardError
from stacks.paths import REPOSITORY, cache
from stacks.ssh import Host, Session, session

BRIDGE = "sy-roles"
NETWORK = "172.31.249.0/24"
GATEWAY = "172.31.249.1"
USER = "stakeyard"
USER_ID = 1000
GROUP = "stakeyard-roles"
BOOT_SECONDS = 60.0
NUMBERS = range(10, 240)
"""The last parts of addresses that are given out; those above are for tests that ask for them."""


def place() -> Path:
    """Where unpacked root file systems and the containers' own files are."""
    return cache() / "role-tests"


@dataclass(frozen=True)
class Machine:
    """A running container; `ssh` says how to reach it."""

    ssh: Host
    directory: Path
    session: Session

    @property
    def name(self) -> str:
        return self.ssh.name

    @property
    def address(self) -> str:
        return self.ssh.address

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        """Run a shell command as the login user."""
        return self.session.run(self.name, command)

    def root(self, command: str) -> str:
        """Run a shell command as root; its output. Fails the test when the command fails."""
        result = self.session.run(self.name, "sudo sh -s", stdin=command)
        assert result.returncode == 0, f"`{command}` on {self.name}: {result.stderr or result.stdout}"
        return result.stdout

    def reaches(self, port: int, seconds: float = 2) -> bool:
        """Whether a TCP connection from outside to the port is accepted."""
        try:
            with socket.create_connection((self.address, port), timeout=seconds):
                return True
        except OSError:
            return False


def unpacked() -> Path:
    """The current image's root file system as a directory; unpacked once an image."""
    image = build(print).resolve()
    target = place() / "base" / image.name
    if target.is_dir():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with (place() / ".base.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.is_dir():
            new = target.with_suffix(".new")
            shutil.rmtree(new, ignore_errors=True)
            new.mkdir()
            archive = image / "rootfs.tar.zst"
            subprocess.run(["tar", "-x", "--numeric-owner", "--xattrs", "-f", archive, "-C", new], check=True)
            new.rename(target)
    return target


@contextlib.contextmanager
def machine(name: str, numbers: Sequence[int] = NUMBERS) -> Iterator[Machine]:
    """A container that runs until the block ends, or until this process does."""
    with contextlib.ExitStack() as stack:
        number = stack.enter_context(_number(numbers))
        directory = place() / "run" / str(number)
        group = f"{GROUP}/{number}"
        _clean(directory, group)
        base = unpacked()
        stack.enter_context(_shared())
        stack.callback(_clean, directory, group)
        address = GATEWAY.rpartition(".")[0] + f".{number}"
        host = _prepare(directory, name, address)
        console = stack.enter_context((directory / "console").open("w"))
        process = _launch(group, base, directory, number, console)
        stack.callback(process.wait)
        stack.callback(process.kill)
        _await_ssh(host, process, directory)
        yield Machine(host, directory, stack.enter_context(session([host])))


@contextlib.contextmanager
def _number(numbers: Sequence[int]) -> Iterator[int]:
    """A free last part of an address, locked."""
    locks = place() / "locks"
    locks.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        with (locks / str(number)).open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            yield number
            return
    raise StakeyardError(f"Every address of {NETWORK} is taken by a running role test.")


def _clean(directory: Path, group: str) -> None:
    cgroups.kill(group)
    cgroups.remove(group)
    shutil.rmtree(directory, ignore_errors=True)


@contextlib.contextmanager
def _shared() -> Iterator[None]:
    """The bridge and the control groups' common parent: there while any container is, by whatever run of the tests."""
    with (place() / "locks" / "shared").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        if not Path("/sys/class/net", BRIDGE).exists():
            subprocess.run(["ip", "link", "add", BRIDGE, "type", "bridge"], check=False, capture_output=True)
        subprocess.run(["ip", "address", "replace", f"{GATEWAY}/24", "dev", BRIDGE], check=True)
        subprocess.run(["ip", "link", "set", BRIDGE, "up"], check=True)
        yield
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            subprocess.run(["ip", "link", "delete", BRIDGE], check=False, capture_output=True)
            cgroups.remove(GROUP)


def _prepare(directory: Path, name: str, address: str) -> Host:
    """Put into the container's own layer what the cloud gives a server: keys, name, address."""
    upper = directory / "upper"
    for part in ("work", "root", "upper/etc/ssh", "upper/etc/cloud", "upper/etc/systemd/network"):
        (directory / part).mkdir(parents=True, exist_ok=True)
    (upper / "etc/cloud/cloud-init.disabled").touch()
    (upper / "etc/systemd/system").mkdir()
    (upper / "etc/systemd/system/stakeyard-host-key.service").symlink_to("/dev/null")
    (upper / "etc/hostname").write_text(f"{name}\n")
    (upper / "etc/systemd/network/10-test.network").write_text(
        f"[Match]\nName=host0\n[Network]\nAddress={address}/24\nGateway={GATEWAY}\nLinkLocalAddressing=no\nLLDP=no\n"
    )
    host_key = upper / "etc/ssh/ssh_host_ed25519_key"
    operator_key = directory / "operator"
    for key in (host_key, operator_key):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", key], check=True)
    dot_ssh = upper / "home/stakeyard/.ssh"
    dot_ssh.mkdir(parents=True)
    shutil.copyfile(operator_key.with_suffix(".pub"), dot_ssh / "authorized_keys")
    for path in (dot_ssh.parent, dot_ssh, dot_ssh / "authorized_keys"):
        os.chown(path, USER_ID, USER_ID)
        path.chmod(0o700)
    key_line = host_key.with_suffix(".pub").read_text().strip()
    return Host(name, address, key_line, USER, str(operator_key))


def _launch(group: str, base: Path, directory: Path, number: int, console: IO[str]) -> subprocess.Popen[bytes]:
    """Start it in a process namespace whose first process the kernel kills when the process that tests ends."""
    bound = ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    launch = ["sh", str(REPOSITORY / "images" / "launch.sh"), group, str(base), str(directory)]
    # The clock and the kernel are the host's: a role that is tested must not be able to change them.
    kept = "--drop-capability=CAP_SYS_TIME,CAP_SYS_MODULE,CAP_SYS_RAWIO,CAP_SYS_BOOT"
    options = [kept, f"--machine=sy-role-{number}", "--network-veth", f"--network-bridge={BRIDGE}"]
    return subprocess.Popen(
        [*bound, *launch, *options],
        stdin=subprocess.DEVNULL,
        stdout=console,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def _await_ssh(host: Host, process: subprocess.Popen[bytes], directory: Path) -> None:
    limit = time.monotonic() + BOOT_SECONDS
    while time.monotonic() < limit and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection((host.address, host.port), timeout=1) as connection:
            if connection.recv(4) == b"SSH-":
                return
        time.sleep(0.1)
    end = (directory / "console").read_text(errors="replace")[-600:]
    raise StakeyardError(f"The container for role tests did not start; its console ends with: {end}")
