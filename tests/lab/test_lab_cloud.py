"""The lab is a real cloud: its services work, it has two hypervisors, and anti-affinity means something on them."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import openstack
import pytest

from images.lab import cleanup
from images.lab.lab import Lab
from images.lab.settings import settings
from stacks import paths

pytestmark = pytest.mark.lab

PREFIX = "lab-test-"
SECONDS = 120


@pytest.fixture(scope="module")
def hypervisors() -> dict[str, str]:
    """Host name -> what it computes with, as the lab itself tells."""
    facts = json.loads((paths.lab() / "facts.json").read_text())
    return dict(facts["hypervisors"])


@pytest.fixture(scope="module")
def image(cloud: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], str]]:
    """Uploads an image for a hypervisor, once; the id. An emulated machine needs no system to be a server."""
    made: dict[str, str] = {}

    def upload(hypervisor: str) -> str:
        kind = "lxc" if hypervisor == "lxc" else "qemu"
        if kind not in made:
            if kind == "lxc":
                file, form = paths.cache() / "node-image" / "current" / "disk.qcow2", "qcow2"
                assert file.exists(), f"{file} is missing: run `stakeyard image build`"
            else:
                file, form = tmp_path_factory.mktemp("image") / "empty.raw", "raw"
                file.write_bytes(bytes(1 << 20))
            uploaded = cloud.create_image(
                f"{PREFIX}{kind}",
                filename=str(file),
                disk_format=form,
                container_format="bare",
                wait=True,
                meta={"img_hv_type": kind, "hw_video_model": "none"},
            )
            made[kind] = uploaded.id
        return made[kind]

    yield upload
    for found in made.values():
        cloud.image.delete_image(found)


@pytest.fixture(scope="module")
def network(cloud: Any) -> Iterator[Any]:
    made = cloud.network.create_network(name=PREFIX + "network")
    cloud.network.create_subnet(name=PREFIX + "subnet", network_id=made.id, ip_version=4, cidr="10.79.0.0/24")
    yield made
    cloud.network.delete_network(made)


@pytest.fixture
def server(cloud: Any, image: Callable[[str], str], network: Any) -> Iterator[Callable[..., Any]]:
    """Makes a server and waits until it is ACTIVE or ERROR; all are deleted at the end."""
    made: list[Any] = []

    def create(name: str, hypervisor: str, group: Any = None, networks: Any = None) -> Any:
        found = cloud.compute.create_server(
            name=PREFIX + name,
            image_id=image(hypervisor),
            flavor_id=cloud.compute.find_flavor("lab.tiny").id,
            networks=networks or [{"uuid": network.id}],
            **({"scheduler_hints": {"group": group.id}} if group else {}),
        )
        made.append(found)
        limit = time.monotonic() + SECONDS
        while found.status not in ("ACTIVE", "ERROR"):
            assert time.monotonic() < limit, f"server {name} is still {found.status} after {SECONDS} s"
            time.sleep(1)
            found = cloud.compute.get_server(found)
        return found

    yield create
    for found in made:
        cloud.compute.delete_server(found, ignore_missing=True)
    for found in made:
        cloud.compute.wait_for_delete(found, wait=SECONDS)


@pytest.fixture
def group(cloud: Any) -> Iterator[Any]:
    made = cloud.compute.create_server_group(name=PREFIX + "group", policy="anti-affinity")
    yield made
    cloud.compute.delete_server_group(made)


def test_every_service_and_agent_reports(admin: Any) -> None:
    assert Lab(settings(), lambda _: None).problems() == []
    assert {service.state for service in admin.compute.services()} == {"up"}
    assert {agent.is_alive for agent in admin.network.agents()} == {True}


def test_there_are_two_hypervisors(admin: Any, hypervisors: dict[str, str]) -> None:
    found = {hypervisor.name for hypervisor in admin.compute.hypervisors(details=True)}
    assert found == set(hypervisors)
    assert len(found) == 2


def test_the_lab_offers_what_it_promises(cloud: Any) -> None:
    assert {flavor.name for flavor in cloud.compute.flavors()} >= {"lab.tiny", "lab.small", "lab.medium"}
    assert cloud.network.find_network("public").is_router_external
    assert cloud.block_storage.find_type("lab")


def test_the_lab_s_user_is_no_administrator(cloud: Any) -> None:
    with pytest.raises(openstack.exceptions.ForbiddenException):
        list(cloud.compute.services())
    with pytest.raises(openstack.exceptions.ForbiddenException):
        cloud.identity.create_user(name=PREFIX + "intruder", password="x")  # noqa: S106  # it must not come to be


def test_a_third_member_of_a_group_for_two_hosts_is_refused(
    server: Callable[..., Any], group: Any, admin: Any, hypervisors: dict[str, str]
) -> None:
    kinds = [kind for _, kind in sorted(hypervisors.items())]
    members = [server(f"member-{number}", kind, group) for number, kind in enumerate(kinds)]
    assert [member.status for member in members] == ["ACTIVE", "ACTIVE"]
    hosts = {admin.compute.get_server(member).hypervisor_hostname for member in members}
    assert hosts == set(hypervisors)

    third = server("third", "qemu", group)
    assert third.status == "ERROR"
    assert "No valid host was found" in third.fault["message"]
    # The same request without the group finds its host: it was the group that refused.
    assert server("outside", "qemu").status == "ACTIVE"


def test_a_deleted_container_server_gives_its_loop_device_back(
    server: Callable[..., Any], cloud: Any, hypervisors: dict[str, str]
) -> None:
    if "lxc" not in hypervisors.values():
        pytest.skip("guests run under KVM here: there are no container servers")

    def device(identifier: str) -> list[str]:
        return [device for device, file in cleanup.loop_devices().items() if identifier in file]

    made = server("container", "lxc")
    assert made.status == "ACTIVE"
    assert len(device(made.id)) == 1
    cloud.compute.delete_server(made)
    cloud.compute.wait_for_delete(made, wait=SECONDS)
    limit = time.monotonic() + 45
    while device(made.id):
        assert time.monotonic() < limit, "the loop device is still there"
        time.sleep(1)


def test_a_container_server_without_a_network_is_refused(
    server: Callable[..., Any], admin: Any, hypervisors: dict[str, str]
) -> None:
    """It would share the network of its node, and cut it off."""
    if "lxc" not in hypervisors.values():
        pytest.skip("guests run under KVM here: there are no container servers")
    assert server("alone", "lxc", networks="none").status == "ERROR"
    assert Lab(settings(), lambda _: None).problems() == []


def test_up_on_a_running_lab_only_looks() -> None:
    begin = time.monotonic()
    done = subprocess.run(
        [Path(sys.executable).with_name("stakeyard"), "lab", "up"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "lab is up" in done.stdout
    assert time.monotonic() - begin < 20


def test_nobody_else_can_read_the_lab_s_passwords() -> None:
    private = [*paths.lab().glob("*clouds.yaml"), paths.lab() / "passwords.json", *paths.cache().glob("lab/*.zst")]
    assert len(private) >= 4
    assert {path.stat().st_mode & 0o077 for path in private} == {0}
    assert Path(paths.lab()).stat().st_mode & 0o077 == 0
