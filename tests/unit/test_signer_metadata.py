"""Registrations in a volume's metadata, and what the cloud is asked."""

import time
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from keystoneauth1.exceptions import ConnectFailure
from openstack.exceptions import NotFoundException

from stacks.errors import StakeyardError
from stacks.signer import Claim, Registration, fingerprint
from stacks.signer_claim import release, take
from stacks.signer_cloud import SignerCloud
from stacks.signer_metadata import as_metadata, from_metadata, surplus

VOLUME, OTHER = "2a7f3e10-0c4e-4b52-9d43-0a1b2c3d4e5f", "3b7f3e10-0c4e-4b52-9d43-0a1b2c3d4e5f"
OLD, NEW = "5f1c1f53-0dd9-4c68-a9b5-0b9f8a2e2d11", "6f1c1f53-0dd9-4c68-a9b5-0b9f8a2e2d11"
KEYS = frozenset({fingerprint("0xabc1")})
fingerprints = st.text("0123456789abcdef", min_size=16, max_size=16)


def test_a_fingerprint_does_not_depend_on_how_the_key_is_written() -> None:
    assert fingerprint("0xABC1") == fingerprint("abc1")
    assert fingerprint("abc1") != fingerprint("abc2")


@given(st.frozensets(fingerprints, max_size=200), st.sampled_from([None, OLD]), st.integers(0, 10**9 - 1))
def test_a_registration_survives_the_metadata(keys: frozenset[str], server: str | None, generation: int) -> None:
    registration = Registration(VOLUME, keys, Claim(server, generation))
    metadata = as_metadata(registration)
    assert all(len(value) <= 255 for value in metadata.values())
    assert from_metadata(VOLUME, {**metadata, "other": "x"}) == registration


def test_a_shorter_registration_leaves_no_line_of_the_longer_one() -> None:
    long = as_metadata(Registration(VOLUME, frozenset(f"{n:016x}" for n in range(40))))
    short = as_metadata(Registration(VOLUME, KEYS))
    assert surplus({**long, "other": "x"}, short) == ["stakeyard_keys_01", "stakeyard_keys_02"]


def test_keys_that_have_begun_are_forgotten_with_the_registration_that_had_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else a key that comes back after it signed elsewhere would count as one with its history here."""
    storage = Storage(**{VOLUME: {"metadata": {"tier": "x"}}})
    there = cloud(storage, Compute(), monkeypatch)
    many = frozenset(f"{n:016x}" for n in range(40))
    there.register(Registration(VOLUME, many, Claim(NEW, 1), many))
    assert there.registration(VOLUME) == Registration(VOLUME, many, Claim(NEW, 1), many)
    there.register(Registration(VOLUME, KEYS, Claim(NEW, 1), KEYS))
    assert storage.made[VOLUME].metadata == {"tier": "x", **held(NEW, 1)}
    there.register(Registration(VOLUME, many, Claim(NEW, 2), KEYS))
    assert there.registration(VOLUME) == Registration(VOLUME, many, Claim(NEW, 2), KEYS & many)


def test_only_a_registered_key_can_have_begun() -> None:
    metadata = as_metadata(Registration(VOLUME, KEYS, Claim(), KEYS | {"00000000000000aa"}))
    found = from_metadata(VOLUME, metadata)
    assert found is not None
    assert found.begun == KEYS


def test_a_volume_of_somebody_else_is_no_registration() -> None:
    assert from_metadata(VOLUME, {"purpose": "backup"}) is None


@pytest.mark.parametrize(
    "spoilt", [{"stakeyard_claim": "me"}, {"stakeyard_keys_00": "abc"}, {"stakeyard_claim": f"{OLD}:-1"}]
)
def test_metadata_that_cannot_be_understood_may_hide_a_key_and_is_refused(spoilt: dict[str, str]) -> None:
    with pytest.raises(StakeyardError, match=f"^volume {VOLUME}: its metadata .* cannot be understood: correct them"):
        from_metadata(VOLUME, {**as_metadata(Registration(VOLUME, KEYS)), **spoilt})


class Storage:
    """Cinder's part of a connection."""

    def __init__(self, **volumes: Mapping[str, Any]) -> None:
        self.made = {
            name: SimpleNamespace(id=name, metadata=dict(v.get("metadata", {})), attachments=v.get("attachments", []))
            for name, v in volumes.items()
        }

    def volumes(self, details: bool) -> list[Any]:
        return list(self.made.values())

    def get_volume(self, name: str) -> Any:
        if name not in self.made:
            raise NotFoundException("no such volume")
        return self.made[name]

    def set_volume_metadata(self, volume: Any, **metadata: str) -> None:
        volume.metadata.update(metadata)

    def delete_volume_metadata(self, volume: Any, keys: list[str]) -> None:
        for name in keys:
            del volume.metadata[name]


class Compute:
    """Nova's part; a status of None is a server that it does not know."""

    def __init__(self, **status: str | None) -> None:
        self.status = status

    def get_server(self, name: str) -> Any:
        if self.status.get(name) is None:
            raise NotFoundException("no such server")
        if self.status[name] == "timeout":
            raise ConnectFailure("Unable to establish connection\n")
        return SimpleNamespace(status=self.status[name])


def cloud(storage: Storage, compute: Compute, monkeypatch: pytest.MonkeyPatch) -> SignerCloud:
    """A cloud whose clock goes on while one sleeps, without sleeping."""
    clock = [1000.0]
    made = SignerCloud("here", SimpleNamespace(block_storage=storage, compute=compute))
    monkeypatch.setattr(made, "now", lambda: clock[0])
    monkeypatch.setattr(made, "sleep", lambda seconds: clock.__setitem__(0, clock[0] + seconds))
    return made


def held(server: str | None, generation: int = 3) -> dict[str, str]:
    return as_metadata(Registration(VOLUME, KEYS, Claim(server, generation), KEYS))


def attached(*servers: str) -> list[dict[str, str]]:
    return [{"server_id": server} for server in servers]


def test_a_new_volume_gets_the_first_generation_and_keeps_its_other_metadata(monkeypatch: pytest.MonkeyPatch) -> None:
    storage = Storage(**{VOLUME: {"metadata": {"tier": "x"}, "attachments": attached(NEW)}})
    assert take(cloud(storage, Compute(), monkeypatch), VOLUME, NEW, KEYS, print) == Claim(NEW, 1)
    assert storage.made[VOLUME].metadata["tier"] == "x"
    assert from_metadata(VOLUME, storage.made[VOLUME].metadata) == Registration(VOLUME, KEYS, Claim(NEW, 1))


def test_the_holder_takes_its_claim_again_without_a_move(monkeypatch: pytest.MonkeyPatch) -> None:
    storage = Storage(**{VOLUME: {"metadata": held(NEW), "attachments": attached(NEW)}})
    assert take(cloud(storage, Compute(), monkeypatch), VOLUME, NEW, KEYS, print) == Claim(NEW, 3)


@pytest.mark.parametrize("status", [None, "DELETED", "SHUTOFF"])
def test_a_claim_moves_when_its_holder_is_deleted_or_shut_off_and_detached(
    status: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = Storage(**{VOLUME: {"metadata": held(OLD), "attachments": attached(NEW)}})
    assert take(cloud(storage, Compute(**{OLD: status}), monkeypatch), VOLUME, NEW, KEYS, print) == Claim(NEW, 4)


ALIVE = ["ACTIVE", "ERROR", "UNKNOWN", "REBOOT", "SOFT_DELETED", "PAUSED", "SUSPENDED", "SHELVED_OFFLOADED"]


@pytest.mark.parametrize("status", ALIVE)
def test_every_other_state_of_the_holder_counts_as_alive(status: str, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = Storage(**{VOLUME: {"metadata": held(OLD), "attachments": []}})
    with pytest.raises(StakeyardError, match=f"^server {OLD} holds the claim and is {status}, which counts as alive: "):
        take(cloud(storage, Compute(**{OLD: status}), monkeypatch), VOLUME, NEW, KEYS, print)
    assert storage.made[VOLUME].metadata == held(OLD)


def test_a_holder_that_is_shut_off_but_attached_keeps_its_claim(monkeypatch: pytest.MonkeyPatch) -> None:
    storage = Storage(**{VOLUME: {"metadata": held(OLD), "attachments": attached(OLD)}})
    with pytest.raises(StakeyardError, match=f"^key volume {VOLUME} is attached to server {OLD}: detach it"):
        take(cloud(storage, Compute(**{OLD: "SHUTOFF"}), monkeypatch), VOLUME, NEW, KEYS, print)


def test_a_cloud_that_does_not_answer_is_no_evidence(monkeypatch: pytest.MonkeyPatch) -> None:
    storage = Storage(**{VOLUME: {"metadata": held(OLD), "attachments": []}})
    with pytest.raises(StakeyardError, match=r"^cloud here does not do as asked .* so nothing more is done"):
        take(cloud(storage, Compute(**{OLD: "timeout"}), monkeypatch), VOLUME, NEW, KEYS, print)
    assert storage.made[VOLUME].metadata == held(OLD)


def test_a_key_volume_that_is_gone_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StakeyardError, match=f"^key volume {VOLUME} does not exist any more"):
        take(cloud(Storage(), Compute(), monkeypatch), VOLUME, NEW, KEYS, print)


def test_a_key_on_two_volumes_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    other = as_metadata(Registration(OTHER, KEYS, Claim(OLD, 1)))
    volumes: dict[str, Any] = {VOLUME: {"attachments": attached(NEW)}, OTHER: {"metadata": other}}
    storage = Storage(**volumes)
    (name,) = KEYS
    with pytest.raises(
        StakeyardError, match=f"^key {name} is registered on volume {OTHER} too: one key has one signer"
    ):
        take(cloud(storage, Compute(), monkeypatch), VOLUME, NEW, KEYS, print)


def test_only_the_holder_can_release(monkeypatch: pytest.MonkeyPatch) -> None:
    storage = Storage(**{VOLUME: {"metadata": held(OLD)}})
    there = cloud(storage, Compute(), monkeypatch)
    release(there, VOLUME, NEW)
    assert storage.made[VOLUME].metadata == held(OLD)
    release(there, VOLUME, OLD)
    assert storage.made[VOLUME].metadata == held(None)


def test_an_answer_ages_while_the_control_machine_is_suspended(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that stands still meanwhile, as Python's monotonic one does on Linux, would call it fresh."""
    clocks = {time.CLOCK_BOOTTIME: 1000.0, time.CLOCK_MONOTONIC: 1000.0}
    monkeypatch.setattr(time, "clock_gettime", clocks.__getitem__)
    asked = SignerCloud("here", SimpleNamespace(compute=Compute(**{OLD: None})))
    view = asked.server(OLD)
    clocks[time.CLOCK_BOOTTIME] += 3600
    assert asked.now() - view.at == 3600
