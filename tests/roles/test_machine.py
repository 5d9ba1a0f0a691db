"""The container that roles are tested on: nothing of it outlives the run, however that ends."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from images.lab import cgroups
from stacks.paths import REPOSITORY
from tests.roles import machine as harness
from tests.roles.machine import Machine, machine

pytestmark = pytest.mark.host

OWN = range(240, 241)
"""Of the addresses: a run beside this one takes none of them."""
CHILD = f"""
import time
from tests.roles.machine import machine
with machine("doomed", {OWN}) as started:
    print(started.address, flush=True)
    time.sleep(600)
"""


def test_two_hosts_reach_each_other_and_nothing_else(host: Machine) -> None:
    with machine("host-2") as other:
        assert host.address != other.address
        assert host.ssh.host_key != other.ssh.host_key
        assert host.run(f"timeout 5 bash -c 'echo >/dev/tcp/{other.address}/22'").returncode == 0
        assert host.run("timeout 5 bash -c 'echo >/dev/tcp/192.0.2.1/443'").returncode != 0
    assert not Path(other.directory).exists()


def test_a_role_cannot_change_the_clock_or_the_kernel_of_this_machine(host: Machine) -> None:
    assert host.run("sudo date --set '2001-01-01'").returncode != 0
    assert host.run("sudo sysctl -w kernel.dmesg_restrict=1").returncode != 0
    assert host.run("sudo modprobe loop").returncode != 0


def test_a_killed_run_takes_its_container_with_it_and_the_next_one_cleans_up() -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert child.stdout
    address = child.stdout.readline().strip()
    number = address.rpartition(".")[2]
    group, directory = f"{harness.GROUP}/{number}", harness.place() / "run" / number
    assert cgroups.processes(group)
    assert directory.is_dir()
    child.send_signal(signal.SIGKILL)
    child.wait()
    limit = time.monotonic() + 20
    while cgroups.processes(group):
        assert time.monotonic() < limit, "processes of the container outlive the run that started it"
        time.sleep(0.1)
    assert f"{directory}/root" not in Path("/proc/self/mounts").read_text()
    with machine("next", OWN) as started:
        assert started.address == address, "the lock of the killed run is free, so its place is taken again"
        assert started.root("cat /etc/hostname").strip() == "next"
    assert not directory.exists()
    assert not any(path.exists() for path in cgroups.groups(group))
