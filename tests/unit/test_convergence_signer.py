"""How a signer is retired: its history exported and backed up before its claim is free, and never taken for stopped."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from stacks import backup_fetch, convergence, signing
from stacks.backup_store import Directory
from stacks.convergence import Convergence
from stacks.errors import StakeyardError
from stacks.lifecycle import Report
from stacks.runner import RunResult

INPUTS: dict[str, Any] = {
    "name": "v1", "kind": "ethereum_validator", "host": "198.51.100.10", "host_key": "ssh-ed25519 AAAA",
    "server_id": "server-1", "cloud": "lab", "user": "stakeyard", "private_key_file": "/home/me/.ssh/id",
    "roles": ["host", "ethereum_validator"], "variables": {}, "secret_variables": [], "throwaway": False,
    "units": ["ethereum-validator.service"], "signer": {"kind": "ethereum_validator", "volume_id": "vol"},
}  # fmt: skip


def backup(directory: Path) -> dict[str, Any]:
    return {"recipients": ["age1" + "q" * 58], "repository": {"type": "directory", "path": str(directory)}}


SENTENCE = "could not be retired .* and its server counts as alive"


class World:
    """Stands for the host, Ansible, the operators' repository and the cloud; `done` is what happened, in order."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.done: list[str] = []
        self.warnings: list[str] = []
        self.answers, self.runs, self.ansible_error, self.fetch_error = True, True, "", ""
        self.kept: Any = None
        for module, name, stand_in in (
            (convergence, "session", self._session),
            (convergence, "converge", self._converge),
            (convergence, "server_runs", lambda *_: self.runs),
            (convergence, "SignerCloud", lambda cloud: cloud),
            (backup_fetch, "fetch", self._fetch),
            (signing, "held", lambda *_: {"server": "server-1"}),
            (signing, "retired", lambda *_: self.done.append("released in the cloud")),
        ):
            patch.setattr(module, name, stand_in)

    @contextmanager
    def _session(self, hosts: Any) -> Iterator[Any]:
        yield self

    def run(self, name: str, command: str, **_: Any) -> CompletedProcess[str]:
        return CompletedProcess([], 0 if self.answers else 255, "", "connect to host: timed out\n")

    def _converge(self, host: Any, roles: Any, variables: Any, progress: Any, **more: Any) -> RunResult:
        assert variables["stakeyard_claim"] == {"server": "server-1"}
        if self.ansible_error:
            raise StakeyardError(self.ansible_error)
        self.done.append(f"{more['entry']} of {', '.join(roles)}")
        return RunResult(3, 1)

    def _fetch(self, opened: Any, node: str, kept: Any, say: Any) -> list[Any]:
        if self.fetch_error:
            raise StakeyardError(self.fetch_error)
        self.kept = kept
        self.done.append(f"backups of {node} fetched")
        return []

    def retire(self, **changes: Any) -> None:
        report = Report(progress=lambda _: None, warning=self.warnings.append)
        Convergence().delete({**INPUTS, **changes}, {}, report)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


def test_a_client_is_not_stopped_for_a_backup_that_has_no_place(world: World, tmp_path: Path) -> None:
    with pytest.raises(StakeyardError, match=rf"{SENTENCE[:24]}.*/gone cannot be read"):
        world.retire(backup=backup(tmp_path / "gone"))
    assert world.done == []


def test_its_last_backup_is_fetched_before_its_claim_is_free(world: World, tmp_path: Path) -> None:
    world.retire(backup=backup(tmp_path))
    assert world.done == ["retire of ethereum_validator", "backups of v1 fetched", "released in the cloud"]
    assert world.kept == Directory(tmp_path)
    assert world.warnings == []


def test_without_a_repository_nothing_is_fetched(world: World) -> None:
    world.retire()
    assert world.done == ["retire of ethereum_validator", "released in the cloud"]


TROUBLE: dict[str, dict[str, Any]] = {
    "it does not answer": {"answers": False},
    "its history cannot be exported": {"ansible_error": "v1: role ethereum_validator, task 'Export': no"},
    "its backup cannot be fetched": {"fetch_error": "v1: its answer was cut off"},
}


@pytest.mark.parametrize("case", TROUBLE)
def test_a_signer_in_trouble_keeps_its_claim_while_its_server_may_be_alive(
    world: World, case: str, tmp_path: Path
) -> None:
    vars(world).update(TROUBLE[case])
    with pytest.raises(StakeyardError, match=SENTENCE):
        world.retire(backup=backup(tmp_path))
    assert "released in the cloud" not in world.done


@pytest.mark.parametrize("case", TROUBLE)
@pytest.mark.parametrize("excuse", [{"throwaway": True}, {"runs": False}])
def test_its_claim_then_moves_only_on_evidence(
    world: World, case: str, excuse: dict[str, bool], tmp_path: Path
) -> None:
    vars(world).update(TROUBLE[case])
    world.runs = excuse.get("runs", True)
    world.retire(backup=backup(tmp_path), throwaway=excuse.get("throwaway", False))
    assert "released in the cloud" not in world.done
    assert "its claim moves only on evidence" in world.warnings[0]
