"""What a rebuild tells OpenStack and Pulumi, and what becomes of their refusals."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from openstack.exceptions import ConflictException, NotFoundException, SDKException

from stacks import rebuild_outside, recovery, remote, role_library, signing
from stacks.backup import Snapshot
from stacks.backup_store import Directory
from stacks.catalogue import load_catalogue
from stacks.errors import StakeyardError
from stacks.rebuild_outside import Kept, OpenStack, Stack, World
from stacks.signer import Signed
from stacks.workspace import Workspace


class Connection:
    """A cloud with one server; `fails` is what every call raises."""

    def __init__(self, fails: Exception | None = None, status: str = "in-use") -> None:
        self.fails, self.status = fails, status
        self.told: list[tuple[object, ...]] = []
        self.compute = self.block_storage = self

    def _tell(self, *words: object) -> Any:
        self.told.append(words)
        if self.fails:
            raise self.fails
        return SimpleNamespace(status=self.status, created_at="2026-05-28T20:26:40Z", attachments=[], metadata={})

    def get_server(self, server: str) -> Any:
        return self._tell("get_server", server)

    def get_volume(self, volume: str) -> Any:
        return self._tell("get_volume", volume)

    def stop_server(self, server: str) -> Any:
        return self._tell("stop", server)

    def delete_server(self, server: str, ignore_missing: bool) -> Any:
        return self._tell("delete", server, ignore_missing)

    def delete_volume_attachment(self, server: str, volume: str, ignore_missing: bool) -> Any:
        return self._tell("detach", server, volume, ignore_missing)


def test_the_cloud_is_told_what_the_fence_decides() -> None:
    connection = Connection()
    cloud = OpenStack("lab", connection)
    cloud.stop("s")
    cloud.delete("s")
    cloud.detach("s", "v")
    assert connection.told == [("stop", "s"), ("delete", "s", True), ("detach", "s", "v", True)]
    assert cloud.created("s") == 1780000000.0
    volume = cloud.volume("v")
    assert volume is not None
    assert volume.attached == frozenset()


@pytest.mark.parametrize("status", ["deleting", "error", "error_deleting", "restoring-backup"])
def test_a_volume_that_is_neither_there_nor_lost_is_settled_first(status: str) -> None:
    with pytest.raises(StakeyardError, match=f"^key volume v is {status}, so it is neither there nor lost"):
        OpenStack("lab", Connection(status=status)).volume("v")


def test_what_the_cloud_does_not_know_is_lost_and_what_it_cannot_stop_stays() -> None:
    gone = OpenStack("lab", Connection(NotFoundException()))
    assert gone.volume("v") is None
    assert gone.created("s") is None
    assert gone.server("s").status is None
    gone.stop("s")
    OpenStack("lab", Connection(ConflictException())).stop("s")


@pytest.mark.parametrize(
    "ask",
    [
        lambda cloud: cloud.volume("v"),
        lambda cloud: cloud.server("s"),
        lambda cloud: cloud.stop("s"),
        lambda cloud: cloud.delete("s"),
        lambda cloud: cloud.detach("s", "v"),
        lambda cloud: cloud.created("s"),
    ],
)
def test_a_cloud_that_does_not_answer_is_no_evidence(ask: Callable[[OpenStack], object]) -> None:
    with pytest.raises(StakeyardError, match="so nothing more is done; put that right, then try again"):
        ask(OpenStack("lab", Connection(SDKException("gateway timeout"))))


@pytest.mark.parametrize("ask", [lambda cloud: cloud.delete("s"), lambda cloud: cloud.detach("s", "v")])
def test_a_server_that_is_locked_stops_the_rebuild_with_a_sentence(ask: Callable[[OpenStack], object]) -> None:
    with pytest.raises(StakeyardError, match=r"^cloud lab does not do as asked .*is locked"):
        ask(OpenStack("lab", Connection(ConflictException("instance s is locked"))))


class Pulumi:
    """Stands for a workspace; remembers what Pulumi was told, and what it could read of what is to be restored."""

    stack = "lab"
    shared = False

    def __init__(self, returncode: int = 0, state: str = "{}") -> None:
        self.returncode, self.state = returncode, state
        self.told: list[tuple[str, ...]] = []
        self.restore: str | None = None

    def pulumi(self, *arguments: str, capture: bool = False) -> Any:
        self.told.append(arguments)
        self.restore = os.environ.get(signing.RESTORE)
        return SimpleNamespace(returncode=self.returncode, stdout=self.state, stderr="it is locked")


def stack(workspace: Pulumi) -> Stack:
    standing: Any = workspace
    assert not isinstance(standing, Workspace)
    return Stack(standing, print)


def test_pulumi_is_held_to_the_node_and_to_images() -> None:
    told = Pulumi()
    stack(told).refresh(["urn:a"])
    stack(told).update(["urn:a", "urn:b"], ["urn:a"], None)
    images = "--target=urn:pulumi:lab::stakeyard::**stakeyard:index:Images$**"
    assert told.told == [
        ("refresh", "--yes", "--skip-preview", "--target=urn:a"),
        ("up", "--yes", "--skip-preview", "--target=urn:a", "--target=urn:b", images, "--replace=urn:a"),
    ]
    assert told.restore is None


def test_what_is_restored_is_named_to_the_plugin_for_that_update_alone(tmp_path: Path) -> None:
    told = Pulumi()
    stack(told).update([], [], tmp_path / "restore.json")
    assert told.restore == str(tmp_path / "restore.json")
    assert signing.RESTORE not in os.environ
    with pytest.raises(StakeyardError, match="`pulumi up` of stack lab failed"):
        stack(Pulumi(1)).update([], [], tmp_path / "restore.json")
    assert signing.RESTORE not in os.environ


def test_a_state_that_cannot_be_read_is_said_in_one_sentence() -> None:
    with pytest.raises(StakeyardError, match="the state of stack lab could not be read: it is locked"):
        stack(Pulumi(1)).target("n1")


def test_a_recovery_is_the_one_of_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    monkeypatch.setattr(recovery, "recover", lambda workspace, _: asked.append(workspace))
    told = Pulumi()
    stack(told).recover()
    assert asked == [told]


@pytest.mark.parametrize(("pending", "recovered"), [([], 0), ([{"type": "creating"}], 1)])
def test_a_lock_in_a_shared_place_is_only_broken_for_what_was_interrupted(
    pending: list[object], recovered: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []
    monkeypatch.setattr(recovery, "recover", lambda workspace, _: asked.append(workspace))
    told = Pulumi(state=json.dumps({"deployment": {"pending_operations": pending}}))
    told.shared = True
    stack(told).recover()
    assert len(asked) == recovered


SIGNED = Signed("s-1", frozenset({"a", "b"}))


def world(directory: Path) -> World:
    return World(OpenStack("lab", Connection()), stack(Pulumi()), Kept(None, None), directory, 60)


def test_what_is_staged_is_what_the_signer_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = world(tmp_path / "new").stage("n1", b"\x00history", SIGNED, True)
    assert path.stat().st_mode & 0o777 == 0o600
    monkeypatch.setenv(signing.RESTORE, str(path))
    assert signing.restoration("n1") == signing.Restoration(b"\x00history", SIGNED, True)
    assert signing.restoration("n2") == signing.Restoration()
    again = world(tmp_path / "new").stage("n1", None, SIGNED, False)
    monkeypatch.setenv(signing.RESTORE, str(again))
    assert signing.restoration("n1") == signing.Restoration(None, SIGNED, False)


def test_the_last_message_is_asked_of_the_node_and_means_nothing_without_a_synced_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: dict[str, Any] = {"synced": True, "last": 1_780_000_000.0}
    kind = SimpleNamespace(
        question=lambda uses, keys, recent: [use["address"] for use in uses] + keys + ["recent"] * recent,
        REMOTE="module",
    )
    asked: list[list[str]] = []
    monkeypatch.setattr(role_library, "load", lambda *_: kind)

    def ask(*words: Any) -> dict[str, Any]:
        asked.append(words[-1])
        return shown

    monkeypatch.setattr(remote, "ask", ask)
    signer = {"kind": "any", "uses": [{"name": "b", "address": "10.0.0.9"}], "public_keys": ["0xab"]}
    inputs = {
        "name": "n1",
        "host": "192.0.2.1",
        "host_key": "ssh-ed25519 AAAA",
        "user": "u",
        "private_key_file": "/k",
        "signer": signer,
    }
    node: Any = SimpleNamespace(node="n1", inputs=inputs)
    assert world(tmp_path).last_signed(node) == 1_780_000_000.0
    assert asked == [["10.0.0.9", "0xab", "recent"]]
    shown["synced"] = False
    assert world(tmp_path).last_signed(node) is None


def test_a_backup_is_not_opened_without_an_identity(tmp_path: Path) -> None:
    assert Kept(None, None).snapshots("n1") == []
    wanted = Snapshot("20260101T000000Z", "n1", "s", 0, None, 0, "", "", 0)
    with pytest.raises(StakeyardError, match=r"backup\.identity_file is missing"):
        Kept(Directory(tmp_path), None).open(wanted)


def test_patience_comes_from_the_kind() -> None:
    catalogue = load_catalogue()
    nodes = {
        "signs": SimpleNamespace(kind="ethereum_validator", vars={"ethereum_network": "devnet"}),
        "keeps": SimpleNamespace(kind="bitcoin", vars={}),
    }
    fleet: Any = SimpleNamespace(nodes=nodes)
    rule = catalogue.kind("ethereum_validator").signer
    assert rule is not None
    assert isinstance(rule.duty_seconds, dict)
    assert rebuild_outside.patience(fleet, catalogue, "signs") == rebuild_outside.DUTIES * rule.duty_seconds["devnet"]
    assert rebuild_outside.patience(fleet, catalogue, "keeps") == 0.0


def test_the_staged_file_is_plain_json(tmp_path: Path) -> None:
    path = world(tmp_path).stage("n1", None, None, True)
    assert json.loads(path.read_text()) == {"n1": {"holder": None, "accept_older": True}}
