"""What the program declares for the sake of public clouds: each would stop or undo an update there."""

from pathlib import Path
from typing import Any

import pytest

from tests.unit.program_mocks import cache_with_image, fleet_of, operator_files, run

VOLUME = "blockstorage/volume:Volume"
SERVER = "compute/instance:Instance"


@pytest.fixture
def fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The stack file of Open Telekom Cloud, with this machine's key files."""
    monkeypatch.setenv("STAKEYARD_CACHE", str(tmp_path / "cache"))
    cache_with_image(tmp_path / "cache")
    found = fleet_of("otc-eu-de")
    found["operators"] |= operator_files(tmp_path, "ssh-ed25519 AAAA operator@laptop of 2026")
    return found


def test_another_comment_in_the_key_file_makes_no_other_keypair(fleet: dict[str, Any]) -> None:
    """Another keypair would replace every server."""
    (keypair,) = run(fleet, "otc-eu-de").of("compute/keypair:Keypair")
    assert keypair.inputs["publicKey"] == "ssh-ed25519 AAAA"


def test_a_root_volume_has_a_type_only_where_the_stack_file_names_one(fleet: dict[str, Any]) -> None:
    """With one, the plugin asks for a version of the compute API that not every cloud has."""
    fleet["nodes"]["bitcoin-2"]["root_volume"]["type"] = "SSD"
    program = run(fleet, "otc-eu-de")
    types = {server.name: server.inputs["blockDevices"][0].get("volumeType") for server in program.of(SERVER)}
    assert types == {"bitcoin-1": None, "bitcoin-2": "SSD"}


def test_metadata_that_the_cloud_adds_to_a_volume_is_no_change(fleet: dict[str, Any]) -> None:
    volumes = run(fleet, "otc-eu-de").of(VOLUME)
    assert all(volume.inputs["metadata"]["__system__encrypted"] == "1" for volume in volumes)
    assert {tuple(volume.request.ignoreChanges) for volume in volumes} == {("metadata",)}


def test_volumes_are_where_their_servers_are_unless_the_cloud_has_zones_for_them(fleet: dict[str, Any]) -> None:
    def zones() -> dict[str, str]:
        return {volume.name: volume.inputs["availabilityZone"] for volume in run(fleet, "otc-eu-de").of(VOLUME)}

    assert zones() == {"bitcoin-1-chain": "eu-de-01", "bitcoin-2-chain": "eu-de-02"}
    fleet["volume_zone"] = "nova"
    assert set(zones().values()) == {"nova"}


def test_a_cloud_that_is_asked_too_much_is_asked_again(fleet: dict[str, Any]) -> None:
    (provider,) = run(fleet, "otc-eu-de").of("pulumi:providers:openstack")
    assert int(provider.inputs["maxRetries"]) >= 3
