"""The nodes' configuration files: complete, private where they hold passwords, right for each node."""

import configparser
import io
import tarfile
from dataclasses import asdict
from pathlib import Path

import jinja2
import pytest

from images.lab import configuration, credentials, kvm, rootfs
from images.lab.configuration import File, NodeSpec
from images.lab.settings import LOOP_DEVICES, settings

LAB = settings({})
PASSWORDS = credentials.new_passwords()


def _files(node: NodeSpec) -> dict[str, File]:
    return {file.path: file for file in configuration.render(LAB, node, PASSWORDS, "192.0.2.53")}


CONTROLLER, CONTAINERS = configuration.nodes(LAB, "qemu", "lxc")
_, SECOND_KVM = configuration.nodes(LAB, "kvm", "kvm")


@pytest.mark.parametrize("node", [CONTROLLER, CONTAINERS, SECOND_KVM], ids=lambda node: f"{node.role}-{node.virt}")
def test_no_file_with_a_password_is_readable_by_all(node: NodeSpec) -> None:
    holding = {
        path: file for path, file in _files(node).items() if any(p in file.content for p in asdict(PASSWORDS).values())
    }
    assert "etc/nova/nova.conf" in holding
    assert {path: file.mode & 0o007 for path, file in holding.items()} == dict.fromkeys(holding, 0)


@pytest.mark.parametrize("node", [CONTROLLER, CONTAINERS, SECOND_KVM], ids=lambda node: f"{node.role}-{node.virt}")
def test_every_service_configuration_parses_without_duplicate_keys(node: NodeSpec) -> None:
    for path, file in _files(node).items():
        if path.startswith("etc/") and path.endswith((".conf", ".ini")) and file.group != "root":
            parser = configparser.ConfigParser(interpolation=None, strict=True, default_section="none")
            parser.read_string(file.content, source=path)
            assert parser.sections(), path


def test_each_node_computes_with_its_own_hypervisor() -> None:
    for node, expected in ((CONTROLLER, "qemu"), (CONTAINERS, "lxc"), (SECOND_KVM, "kvm")):
        parser = configparser.ConfigParser(interpolation=None, default_section="none")
        parser.read_string(_files(node)["etc/nova/nova.conf"].content)
        assert parser["libvirt"]["virt_type"] == expected
        assert parser["DEFAULT"]["host"] == node.hostname
        assert parser["DEFAULT"]["instances_path"] == LAB.instances


def test_only_the_controller_knows_the_databases() -> None:
    assert "mysql+pymysql" in _files(CONTROLLER)["etc/nova/nova.conf"].content
    assert not [path for path, file in _files(CONTAINERS).items() if "mysql+pymysql" in file.content]


def test_only_a_container_node_gets_loop_devices() -> None:
    helper = "usr/local/sbin/lab-loop-devices"
    assert helper in _files(CONTAINERS)
    assert LAB.instances in _files(CONTAINERS)[helper].content
    assert str(LOOP_DEVICES) in _files(CONTAINERS)["usr/local/sbin/lab-container-host"].content
    assert helper not in _files(CONTROLLER)
    assert helper not in _files(SECOND_KVM)


def test_a_variable_that_nobody_gives_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "common").mkdir()
    (tmp_path / "controller").mkdir()
    (tmp_path / "common" / "file").write_text("{{ nobody_knows }}")
    monkeypatch.setattr(configuration, "FILES", tmp_path)
    with pytest.raises(jinja2.UndefinedError, match="nobody_knows"):
        configuration.render(LAB, CONTROLLER, PASSWORDS, "192.0.2.53")


def test_the_tar_carries_owners_and_modes_and_no_folders() -> None:
    packed = configuration.pack([File("etc/nova/x", "content", 0o640, "nova")])
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        (member,) = archive.getmembers()
    assert (member.name, member.mode, member.uname, member.gname) == ("etc/nova/x", 0o640, "root", "nova")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("etc/nova/nova.conf", (0o640, "nova")),
        ("etc/neutron/plugins/ml2/ml2_conf.ini", (0o640, "neutron")),
        ("etc/openstack/clouds.yaml", (0o600, "root")),
        ("usr/local/sbin/lab-net", (0o755, "root")),
        ("sbin/mount.nfs", (0o755, "root")),
        ("etc/libvirt/hooks/lxc", (0o755, "root")),
        ("etc/hosts", (0o644, "root")),
    ],
)
def test_access_follows_from_the_place(path: str, expected: tuple[int, str]) -> None:
    assert configuration.access(path) == expected


def test_the_package_list_has_no_comment_and_no_duplicate() -> None:
    assert rootfs.packages("# why\nnova-api  # the API\n\nglance\n") == ["nova-api", "glance"]
    names = rootfs.packages((rootfs.FILES / "packages.txt").read_text())
    assert len(names) == len(set(names)) > 30


@pytest.mark.parametrize(
    ("has_kvm", "version1", "expected"),
    [
        (True, True, ("kvm", "kvm")),
        (True, False, ("kvm", "kvm")),
        (False, True, ("qemu", "lxc")),
        (False, False, ("qemu", "qemu")),
    ],
)
def test_two_hypervisors_whatever_the_machine_can_do(has_kvm: bool, version1: bool, expected: tuple[str, str]) -> None:
    assert kvm.hypervisors(has_kvm, version1) == expected


@pytest.mark.parametrize(
    ("serial", "expected"),
    [
        ("[    0.000000] Linux version 6.1\n[ 1.2] Kernel panic - not syncing: VFS: Unable to mount root fs on", True),
        ("Probing EDD (edd=off to disable)... ok\n", False),
        ("qemu-system-x86_64: failed to set MSR 0x10a\n", False),
        ("", False),
    ],
)
def test_only_a_kernel_that_came_up_proves_kvm(serial: str, expected: bool) -> None:
    assert kvm.booted(serial) is expected
