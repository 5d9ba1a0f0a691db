"""The signer's part of a convergence: the claim, and what keys start with on a volume that has no history."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from stacks import remote, signing
from stacks.errors import StakeyardError
from stacks.lifecycle import Report
from stacks.role_library import load
from stacks.signer import Claim, Registration, ServerView, VolumeView, fingerprint
from stacks.signing import RESTORE

KEY, MORE = "0x" + "a9" * 48, "0x" + "b9" * 48
ROOT = "0x" + "11" * 32
INPUTS: dict[str, Any] = {
    "name": "validator-1",
    "server_id": "new",
    "variables": {"stakeyard_volumes": {"keys": {"device_id": "vol", "mount": "/var/lib/keys"}}},
    "signer": {
        "kind": "ethereum_validator",
        "volume_id": "vol",
        "public_keys": [KEY],
        "uses": [{"name": "eth-1", "address": "10.0.0.1"}],
        "silence_epochs": 2,
        "silence_seconds": 90,
    },
}


class Cloud:
    """A cloud with one key volume and an old server."""

    def __init__(self) -> None:
        self.registered = Registration("vol", frozenset({fingerprint(KEY)}), Claim(None, 0))
        self.status: str | None = "ACTIVE"
        self.clock = 0.0
        self.others: tuple[Registration, ...] = ()

    def registrations(self) -> tuple[Registration, ...]:
        return (self.registered, *self.others)

    def registration(self, volume: str) -> Registration:
        return self.registered

    def register(self, registration: Registration) -> None:
        self.registered = registration

    def server(self, server: str) -> ServerView:
        return ServerView(server, self.status, self.clock)

    def volume(self, volume: str) -> VolumeView:
        return VolumeView(volume, frozenset({"new"}), self.clock)

    def now(self) -> float:
        return self.clock

    def sleep(self, seconds: float) -> None:
        self.clock += seconds


class Host:
    """The node's host; `claim` is what is noted on its key volume, None where that is not mounted."""

    def __init__(self, claim: object = None) -> None:
        self.claim, self.commands = claim, list[str]()

    def run(self, name: str, command: str) -> SimpleNamespace:
        self.commands.append(command)
        text = self.claim if isinstance(self.claim, str) else json.dumps(self.claim)
        return SimpleNamespace(returncode=0 if self.claim else 32, stdout=text)


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the chain shows, as the node's host would print it; tests change it."""
    record: dict[str, Any] = {
        "synced": True,
        "chain": ROOT,
        "since": 0,
        "seen": {},
        "present": {"source": 9, "target": 11, "slot": 340},
        "quiet_epochs": None,
        "quiet_seconds": None,
        "reach": {},
    }
    asked: list[tuple[str, ...]] = []
    record["asked"] = asked

    def ask(_opened: object, host: str, role: str, module: str, arguments: list[str]) -> dict[str, Any]:
        asked.append((host, role, module, *arguments))
        return record

    monkeypatch.setattr(remote, "ask", ask)
    monkeypatch.delenv(RESTORE, raising=False)
    return record


def prepare(cloud: Cloud, host: Host | None = None, *keys: str, state: dict[str, Any] | None = None) -> dict[str, Any]:
    quiet = Report(lambda _line: None, lambda _line: None)
    inputs = {**INPUTS, "signer": {**INPUTS["signer"], "public_keys": list(keys)}} if keys else INPUTS
    made: dict[str, Any] = signing.prepare(
        inputs,
        host or Host(),  # type: ignore[arg-type]
        quiet,
        cloud,  # type: ignore[arg-type]
        {} if state is None else state,
    )
    return made


def marks_of(made: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = load("ethereum_validator", "signer").marks(made["stakeyard_history"].encode())
    return found


def test_new_keys_get_a_claim_and_a_history_that_begins_now(shown: dict[str, Any]) -> None:
    made = prepare(Cloud())
    assert made["stakeyard_claim"] == {
        "server": "new",
        "generation": 1,
        "keys": [fingerprint(KEY)],
        "new": True,
        "begun": [],
    }
    assert marks_of(made) == {fingerprint(KEY): {"source": 9, "target": 11, "slot": 340}}
    ((host, role, module, *words),) = shown["asked"]
    assert (host, role, module) == ("validator-1", "ethereum_validator", "stakeyard_ethereum.remote")
    assert words == load("ethereum_validator", "signer").question(INPUTS["signer"]["uses"], [KEY])


def test_keys_that_have_begun_keep_the_history_on_their_volume(shown: dict[str, Any]) -> None:
    cloud = Cloud()
    prepare(cloud)
    signing.finish(INPUTS, cloud, cloud.registered.claim.generation)  # type: ignore[arg-type]
    shown["asked"].clear()
    made = prepare(cloud)
    assert "stakeyard_history" not in made
    assert made["stakeyard_claim"]["new"] is False
    assert shown["asked"] == []


def test_a_key_that_comes_to_them_is_asked_about_alone(shown: dict[str, Any]) -> None:
    cloud = Cloud()
    prepare(cloud)
    signing.finish(INPUTS, cloud, cloud.registered.claim.generation)  # type: ignore[arg-type]
    shown["asked"].clear()
    made = prepare(cloud, None, KEY, MORE)
    assert set(marks_of(made)) == {fingerprint(MORE)}
    assert made["stakeyard_claim"]["new"] is False
    assert shown["asked"][0][-1] == f"--key={MORE.removeprefix('0x')}"
    shown |= {"seen": {fingerprint(MORE): {"source": 9, "target": 10}}, "quiet_epochs": 0, "quiet_seconds": 5.0}
    with pytest.raises(StakeyardError, match="may still be alive"):
        prepare(cloud, None, KEY, MORE)


NOTED = {"volume": "vol", "server": "new", "generation": 1, "keys": [fingerprint(KEY)], "begun": [fingerprint(KEY)]}


def test_a_signer_that_began_before_the_cloud_heard_of_it_goes_on(shown: dict[str, Any]) -> None:
    """The roles failed after its start: by now the chain shows its own votes."""
    cloud, host = Cloud(), Host(NOTED)
    prepare(cloud)
    shown |= {"seen": {fingerprint(KEY): {"source": 9, "target": 10}}, "quiet_epochs": 0, "quiet_seconds": 5.0}
    made = prepare(cloud, host)
    assert "stakeyard_history" not in made
    assert made["stakeyard_claim"]["new"] is False
    assert host.commands == ["sudo sh -c 'mountpoint -q /var/lib/keys && cat /var/lib/keys/claim.json'"]


@pytest.mark.parametrize("noted", [{**NOTED, "volume": "clone"}, {**NOTED, "begun": True}, "{", [], "null"])
def test_a_note_that_is_not_this_volume_s_proves_nothing(shown: dict[str, Any], noted: object) -> None:
    shown |= {"seen": {fingerprint(KEY): {"source": 9, "target": 10}}, "quiet_epochs": 0, "quiet_seconds": 5.0}
    with pytest.raises(StakeyardError, match="may still be alive"):
        prepare(Cloud(), Host(noted))


def test_a_key_that_is_refused_is_not_registered(shown: dict[str, Any]) -> None:
    """Else two nodes that were to swap their keys would stand in each other's way for ever."""
    cloud = Cloud()
    cloud.others = (Registration("elsewhere", frozenset({fingerprint(MORE)})),)
    with pytest.raises(StakeyardError, match="is registered on volume elsewhere too"):
        prepare(cloud, None, MORE)
    assert cloud.registered.keys == {fingerprint(KEY)}
    assert prepare(cloud)["stakeyard_claim"]["keys"] == [fingerprint(KEY)]


def test_a_claim_that_the_cloud_forgot_is_taken_from_the_volume(shown: dict[str, Any]) -> None:
    cloud = Cloud()
    with pytest.raises(StakeyardError, match="server old holds the claim and is ACTIVE"):
        prepare(cloud, Host({**NOTED, "server": "old", "generation": 5}))
    cloud.status = None
    assert prepare(cloud, Host({**NOTED, "server": "old", "generation": 5}))["stakeyard_claim"]["generation"] == 6


def test_only_keys_that_its_signer_lets_go_are_free(shown: dict[str, Any]) -> None:
    cloud: Any = Cloud()
    both = frozenset(map(fingerprint, (KEY, MORE)))
    prepare(cloud, None, KEY, MORE)
    prepare(cloud)
    assert cloud.registered.keys == both
    cloud.others = (Registration("elsewhere", frozenset({fingerprint(MORE)})),)
    with pytest.raises(StakeyardError, match="is registered on volume elsewhere too"):
        prepare(cloud, None, KEY, MORE)
    assert cloud.registered.keys == both
    cloud.others = ()
    with pytest.raises(StakeyardError, match="another update of key volume vol has begun since"):
        signing.finish(INPUTS, cloud, cloud.registered.claim.generation - 1)
    assert cloud.registered.keys == both
    signing.finish(INPUTS, cloud, cloud.registered.claim.generation)
    assert cloud.registered.keys == cloud.registered.begun == {fingerprint(KEY)}
    cloud.registered = replace(cloud.registered, claim=Claim("other", 9))
    with pytest.raises(StakeyardError, match="the claim on key volume vol was taken from server new"):
        signing.finish(INPUTS, cloud, cloud.registered.claim.generation)


def test_keys_that_the_chain_saw_a_moment_ago_do_not_start_anew(shown: dict[str, Any]) -> None:
    shown |= {"seen": {fingerprint(KEY): {"source": 9, "target": 10}}, "quiet_epochs": 0, "quiet_seconds": 5.0}
    with pytest.raises(StakeyardError, match="the last signer of these keys may still be alive"):
        prepare(Cloud())


def restore(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: int, **more: Any) -> None:
    kind = load("ethereum_validator", "signer")
    marks = {fingerprint(KEY): {"source": target - 1, "target": target, "slot": 320}}
    (tmp_path / "history.json").write_bytes(kind.seed(None, [KEY], marks, ROOT))
    holder = {"server": "old", "keys": [fingerprint(KEY)]}
    given = {"validator-1": {"history": str(tmp_path / "history.json"), "holder": holder, **more}}
    (tmp_path / "restore.json").write_text(json.dumps(given))
    monkeypatch.setenv(RESTORE, str(tmp_path / "restore.json"))


SEEN = {fingerprint(KEY): {"source": 9, "target": 10}}


def test_a_current_backup_is_taken_once_the_last_server_is_deleted(
    shown: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown |= {"seen": SEEN, "quiet_epochs": 0, "quiet_seconds": 5.0}
    restore(tmp_path, monkeypatch, target=10)
    cloud = Cloud()
    with pytest.raises(StakeyardError, match="may still be alive: delete its server"):
        prepare(cloud)
    cloud.status = None
    assert marks_of(prepare(cloud)) == {fingerprint(KEY): {"source": 9, "target": 11, "slot": 340}}


def test_an_old_backup_is_refused_and_accepted_only_with_both(
    shown: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown |= {"seen": SEEN, "quiet_epochs": 1, "quiet_seconds": 50.0}
    cloud = Cloud()
    cloud.status = None
    restore(tmp_path, monkeypatch, target=7)
    with pytest.raises(StakeyardError, match="restore a newer backup"):
        prepare(cloud)
    restore(tmp_path, monkeypatch, target=7, accept_older=True)
    with pytest.raises(StakeyardError, match="both must hold"):
        prepare(cloud)
    shown |= {"quiet_epochs": 4, "quiet_seconds": 150.0}
    state: dict[str, Any] = {}
    assert prepare(cloud, state=state)["stakeyard_history"]
    key = fingerprint(KEY)
    at = datetime.fromisoformat(state["seeded"].pop("at"))
    assert abs((datetime.now(UTC) - at).total_seconds()) < 600
    assert state["seeded"] == {
        "quiet_epochs": 4,
        "quiet_seconds": 150.0,
        "holder": {"server": "old", "status": None},
        "accepted_older": True,
        "present": {"source": 9, "target": 11, "slot": 340},
        "seen": SEEN,
        "backup": {key: {"source": 6, "target": 7, "slot": 320}},
        "marks": {key: {"source": 9, "target": 11, "slot": 340}},
    }


def test_keys_from_another_installation_start_after_the_silence_above_what_the_chain_shows(
    shown: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown |= {"seen": {fingerprint(KEY): {"source": 9, "target": 12}}, "quiet_epochs": 2, "quiet_seconds": 89.0}
    with pytest.raises(StakeyardError, match="may still be alive"):
        prepare(Cloud())
    shown["quiet_seconds"] = 90.0
    assert marks_of(prepare(Cloud())) == {fingerprint(KEY): {"source": 9, "target": 12, "slot": 340}}
    # Where a last server is known, its history is missing, and that is the operator's to accept.
    (tmp_path / "restore.json").write_text(
        json.dumps({"validator-1": {"holder": {"server": "old", "keys": [fingerprint(KEY)]}}})
    )
    monkeypatch.setenv(RESTORE, str(tmp_path / "restore.json"))
    with pytest.raises(StakeyardError, match="restore a newer backup, or accept the older one"):
        prepare(Cloud())


def test_a_refusal_leaves_no_reason_why_keys_may_start(shown: dict[str, Any]) -> None:
    shown |= {"seen": SEEN, "quiet_epochs": 0, "quiet_seconds": 5.0}
    state: dict[str, Any] = {}
    with pytest.raises(StakeyardError, match="may still be alive"):
        prepare(Cloud(), state=state)
    assert state == {}


def test_a_restore_that_cannot_be_read_is_a_sentence(
    shown: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(RESTORE, str(tmp_path / "nothing.json"))
    with pytest.raises(StakeyardError, match=r"nothing\.json does not say what to restore"):
        prepare(Cloud())


def test_the_claim_of_this_server_is_released_and_no_other(shown: dict[str, Any]) -> None:
    cloud: Any = Cloud()
    prepare(cloud)
    assert signing.held(INPUTS, cloud)["generation"] == 1
    signing.retired({**INPUTS, "server_id": "other"}, cloud)
    assert cloud.registered.claim == Claim("new", 1)
    signing.retired(INPUTS, cloud)
    assert cloud.registered.claim == Claim(None, 1)


def test_the_role_s_own_python_runs_from_an_archive(tmp_path: Path) -> None:
    import subprocess
    import sys

    (tmp_path / "ask.zip").write_bytes(remote.archive("ethereum_validator", "stakeyard_ethereum.remote"))
    words = ["record", "--beacon=http://127.0.0.1:9", f"--key={KEY}", "--epoch=0"]
    done = subprocess.run(
        [sys.executable, "-I", tmp_path / "ask.zip", *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "127.0.0.1:9" in done.stderr
