"""What `stakeyard rebuild` and `stakeyard backup` make of a stack file, and what they show."""

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from stacks import backup_fetch, rebuild_command, role_files
from stacks.backup_store import Directory, Restic, repository
from stacks.errors import StakeyardError
from stacks.fleet_backup import Backup
from stacks.rebuild import Request
from tests.unit.rebuild_world import OLD, World

RECIPIENT = "age1" + "q" * 58
KEPT = {"recipients": [RECIPIENT], "repository": {"type": "directory", "path": "/srv/backups"}}


class Desk:
    """An operator's desk: a stack file with one node, and a console to read."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.world = World(directory / "rebuild" / "lab")
        self.text = io.StringIO()
        self.console = Console(file=self.text, width=200)
        self.fleet: Any = SimpleNamespace(cloud="lab", nodes={"n1": SimpleNamespace()}, backup=None)
        self.workspace: Any = SimpleNamespace(
            stack="lab", stack_file=directory / "f", state=directory, pulumi=self.pulumi, lock=self.lock
        )
        self.locked = False
        self.state: dict[str, Any] = {}
        for name, stand_in in (
            ("load_catalogue", lambda: None),
            ("load_stack_file", lambda *_: self.fleet),
            ("OpenStack", lambda *_: None),
            ("patience", lambda *_: 60.0),
            ("World", lambda *_: self.world),
        ):
            monkeypatch.setattr(rebuild_command, name, stand_in)

    @contextmanager
    def lock(self) -> Iterator[int]:
        self.locked = True
        yield 0
        self.locked = False

    def pulumi(self, *_: str, capture: bool) -> Any:
        return SimpleNamespace(returncode=0, stdout=json.dumps(self.state), stderr="")

    def rebuild(self, node: str = "n1", dry_run: bool = False, **asked: Any) -> int:
        request = Request("lab", node, **asked)
        return rebuild_command.rebuild_node(self.workspace, request, self.console, dry_run=dry_run, anew=False)


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    return Desk(tmp_path, monkeypatch)


def test_each_phase_is_shown_with_its_time_and_the_reports_are_named(desk: Desk) -> None:
    assert desk.rebuild(fence="delete") == 0
    shown = desk.text.getvalue()
    assert f"fence     shutting server {OLD} off" in shown
    assert shown.count(" s  ") > 8
    reports = [line.removeprefix("Report: ") for line in shown.splitlines() if line.startswith("Report: ")]
    assert sorted(Path(report).suffix for report in reports) == [".json", ".md"]
    assert all(Path(report).exists() for report in reports)


def test_a_dry_run_that_would_be_refused_ends_with_a_status(desk: Desk) -> None:
    assert desk.rebuild(dry_run=True) == 1
    assert f"fence     would refuse: server {OLD} of n1 is ACTIVE" in desk.text.getvalue()
    assert desk.rebuild(dry_run=True, fence="stop") == 0
    assert desk.world.acts == []


def test_a_node_that_the_stack_file_does_not_have_is_refused(desk: Desk) -> None:
    with pytest.raises(StakeyardError, match="stack lab has no node n2: it has n1"):
        desk.rebuild("n2")
    with pytest.raises(StakeyardError, match="stack lab has no node n2: it has n1"):
        rebuild_command.back_up(desk.workspace, "n2", desk.console)


def test_the_repository_is_the_one_of_the_stack_file() -> None:
    assert repository(None) is None
    assert repository(Backup.model_validate(KEPT)) == Directory(Path("/srv/backups"))
    files = {"repository_file": "/r/address", "password_file": "/r/password"}
    restic = Backup.model_validate({**KEPT, "repository": {"type": "restic", **files}})
    assert repository(restic) == Restic(Path("/r/address"), Path("/r/password"))


def test_a_backup_needs_someone_to_read_it(desk: Desk) -> None:
    with pytest.raises(StakeyardError, match="stack lab has no `backup`"):
        rebuild_command.back_up(desk.workspace, "n1", desk.console)


def test_a_backup_is_prepared_taken_and_fetched_in_this_order(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    found = [SimpleNamespace(name="a")]
    inputs = {
        "name": "n1",
        "host": "192.0.2.1",
        "host_key": "ssh-ed25519 AAAA",
        "user": "u",
        "private_key_file": "/k",
        "roles": ["host", "signing"],
        "variables": {},
        "secret_variables": [],
    }

    @contextmanager
    def session(hosts: list[Any]) -> Iterator[str]:
        assert desk.locked, "a node that retires meanwhile would start again"
        done.append(hosts[0].name)
        yield "session"

    def converge(_host: Any, roles: list[str], *_: Any, entry: str, **__: Any) -> None:
        done.append(f"{entry} {roles}")

    def fetch(_opened: Any, _node: str, kept: Directory, _say: Any) -> list[Any]:
        done.append(f"fetch {kept.path}")
        return found

    monkeypatch.setattr(rebuild_command, "target", lambda *_: SimpleNamespace(inputs=inputs))
    monkeypatch.setattr(rebuild_command, "session", session)
    monkeypatch.setattr(rebuild_command, "converge", converge)
    monkeypatch.setattr(role_files, "with_entry", lambda roles, *_: roles[1:])
    monkeypatch.setattr(backup_fetch, "take", lambda *_: done.append("take"))
    monkeypatch.setattr(backup_fetch, "fetch", fetch)
    kept = tmp_path / "backups"
    desk.fleet.backup = Backup.model_validate({**KEPT, "repository": {"type": "directory", "path": str(kept)}})
    with pytest.raises(StakeyardError, match="/backups cannot be read"):
        rebuild_command.back_up(desk.workspace, "n1", desk.console)
    assert done == [], "a client stopped for nothing"
    kept.mkdir()
    rebuild_command.back_up(desk.workspace, "n1", desk.console)
    assert done == ["n1", "export ['signing']", "take", f"fetch {kept}"]
    found.clear()
    with pytest.raises(StakeyardError, match="nothing new came of it"):
        rebuild_command.back_up(desk.workspace, "n1", desk.console)
