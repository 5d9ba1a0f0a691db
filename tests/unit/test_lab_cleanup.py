"""What is removed from a machine: all that is the lab's, nothing that is another's."""

import subprocess
from pathlib import Path

import pytest

from images.lab import cgroups, cleanup, network
from images.lab.node import is_leader
from images.lab.settings import settings

LAB = settings({})


def test_only_loop_devices_of_this_lab_s_servers_are_detached() -> None:
    backing = {
        "/dev/loop0": "/var/lib/nova/instances-lab/1/disk",
        "/dev/loop1": "/var/lib/nova/instances-lab/2/disk (deleted)",
        "/dev/loop2": "/var/lib/nova/instances-lab2/1/disk",
        "/dev/loop3": "/var/lib/nova/instances/1/disk",
        "/dev/loop4": "/home/me/disk.img",
        "/dev/loop5": "/var/lib/nova/instances-lab",
    }
    assert cleanup.loops_of(backing, LAB) == ["/dev/loop0", "/dev/loop1"]


def test_mounts_below_the_state_come_deepest_first_and_others_not_at_all() -> None:
    mounts = (
        "overlay /var/lib/stakeyard/lab/nodes/controller/root overlay rw 0 0\n"
        "proc /var/lib/stakeyard/lab/nodes/controller/root/proc proc rw 0 0\n"
        "/dev/vda / ext4 rw 0 0\n"
        "tmpfs /var/lib/stakeyard/laboratory tmpfs rw 0 0\n"
        "tmpfs /var/lib/stakeyard/lab/with\\040space tmpfs rw 0 0\n"
    )
    assert cleanup.mounts_below(mounts, Path("/var/lib/stakeyard/lab")) == [
        "/var/lib/stakeyard/lab/nodes/controller/root/proc",
        "/var/lib/stakeyard/lab/nodes/controller/root",
        "/var/lib/stakeyard/lab/with space",
    ]


def test_every_hierarchy_of_control_groups_is_found_once() -> None:
    mounts = (
        "tmpfs /sys/fs/cgroup tmpfs rw 0 0\ncgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\n"
        "cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\ncgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\n"
        "cgroup /elsewhere/cpu cgroup rw,cpu 0 0\n"
    )
    assert cgroups.hierarchies(mounts) == [Path("/sys/fs/cgroup/cpu"), Path("/sys/fs/cgroup/unified")]
    assert cgroups.hierarchies("cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n") == [Path("/sys/fs/cgroup")]


def test_members_of_a_group_include_those_of_groups_below(tmp_path: Path) -> None:
    (tmp_path / "system.slice" / "x.service").mkdir(parents=True)
    (tmp_path / "cgroup.procs").write_text("")
    (tmp_path / "system.slice" / "cgroup.procs").write_text("12\n0\n")
    (tmp_path / "system.slice" / "x.service" / "cgroup.procs").write_text("34\n56\n")
    assert sorted(cgroups.members(tmp_path)) == [12, 34, 56]
    assert list(cgroups.members(tmp_path / "gone")) == []


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("Name:\tsystemd\nPid:\t812\nNSpid:\t812\t1\n", True),  # PID 1 of a node
        ("Name:\tsystemd\nPid:\t900\nNSpid:\t900\t77\t1\n", False),  # of a container server in it
        ("Name:\tsystemd\nPid:\t1\nNSpid:\t1\n", False),  # of the host
        ("Name:\tsystemd-nspawn\nPid:\t800\nNSpid:\t800\n", False),
        ("Name:\tbash\nPid:\t801\nNSpid:\t801\t1\n", False),
        ("", False),
    ],
)
def test_a_node_s_first_process_is_told_from_the_others(status: str, expected: bool) -> None:
    assert is_leader(status) is expected


def test_only_what_leaves_the_machine_is_translated() -> None:
    text = network.rules(LAB, ["eth0"])
    assert 'ip saddr 172.31.240.0/24 ip daddr != 172.31.240.0/24 oifname { "eth0" } masquerade' in text
    assert 'oifname { "eth0", "eth1" } masquerade' in network.rules(LAB, ["eth0", "eth1"])
    assert text.startswith("table ip stakeyard_lab {")


def test_a_build_enters_its_group_but_never_an_empty_cpuset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pids").mkdir()
    (tmp_path / "cpuset").mkdir()
    (tmp_path / "cpuset" / "cpuset.cpus").write_text("0-1")
    monkeypatch.setattr(cgroups, "groups", lambda name: [tmp_path / "pids" / name, tmp_path / "cpuset" / name])
    done = subprocess.run(cgroups.inside("work", ["echo", "a b"]), capture_output=True, text=True, check=True)
    assert done.stdout == "a b\n"
    assert (tmp_path / "pids" / "work" / "cgroup.procs").read_text().strip().isdigit()
    assert not (tmp_path / "cpuset" / "work").exists()
