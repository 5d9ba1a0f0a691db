"""Where Pulumi's configuration and environment come from."""

import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml

from stacks.errors import StakeyardError
from stacks.handover import LARGEST
from stacks.workspace import Workspace
from tools import build

FLEET = "config:\n  stakeyard:fleet: {cloud: x}\n"
SALT = "v1:c2FsdA==:v1:abc:def=="


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    (tmp_path / "stacks").mkdir()
    (tmp_path / "Pulumi.yaml").write_text("name: stakeyard\nruntime: python\n")
    (tmp_path / "stacks" / "Pulumi.lab.yaml").write_text(FLEET)
    for name in ("PULUMI_BACKEND_URL", "PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE", "PULUMI_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(build, "ensure", lambda _report: tmp_path / "bin")
    return Workspace("lab", directory=tmp_path, state=tmp_path / ".state")


@pytest.fixture
def pulumi(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """Stands in for `pulumi`: remembers the calls, and writes a salt at `stack init` as Pulumi does."""
    calls: list[tuple[str, ...]] = []

    def run(self: Workspace, *arguments: str, capture: bool = False) -> subprocess.CompletedProcess[str]:
        calls.append(arguments)
        with self.config_file.open("a") as file:
            file.write(f"encryptionsalt: {SALT}\n")
        return subprocess.CompletedProcess(arguments, 0, "", "")

    monkeypatch.setattr(Workspace, "pulumi", run)
    return calls


def test_the_committed_stack_file_never_gets_a_salt(workspace: Workspace, pulumi: list[tuple[str, ...]]) -> None:
    workspace.prepare()
    assert workspace.stack_file.read_text() == FLEET
    assert f"encryptionsalt: {SALT}" in workspace.config_file.read_text()
    assert [call[:2] for call in pulumi] == [("stack", "init")]


def test_the_salt_outlives_a_change_of_the_stack_file(workspace: Workspace, pulumi: list[tuple[str, ...]]) -> None:
    workspace.prepare()
    workspace.stack_file.write_text(FLEET.replace("x", "y"))
    workspace.prepare()
    assert workspace.config_file.read_text() == f"{FLEET.replace('x', 'y')}encryptionsalt: {SALT}\n"
    assert len(pulumi) == 1


def test_a_stack_file_with_its_own_salt_is_used_as_it_is(workspace: Workspace) -> None:
    workspace.stack_file.write_text(f"{FLEET}encryptionsalt: {SALT}\n")
    workspace.prepare()
    assert not workspace.config_file.exists()


LARGE = f"config:\n  stakeyard:fleet: {{cloud: {'x' * LARGEST}}}\n"


def test_a_fleet_too_large_for_pulumi_goes_over_in_a_file(workspace: Workspace, pulumi: list[tuple[str, ...]]) -> None:
    workspace.stack_file.write_text(LARGE)
    for _ in range(2):
        workspace.prepare()
    given = yaml.safe_load(workspace.config_file.read_text())
    path = given["config"]["stakeyard:fleetFile"]
    assert given == {"config": {"stakeyard:fleetFile": path}, "encryptionsalt": SALT}
    assert yaml.safe_load(Path(path).read_text()) == yaml.safe_load(LARGE)["config"]["stakeyard:fleet"]
    assert len(pulumi) == 1


def test_one_whose_stack_file_keeps_its_own_salt_is_refused(workspace: Workspace) -> None:
    workspace.stack_file.write_text(f"{LARGE}encryptionsalt: {SALT}\n")
    with pytest.raises(StakeyardError, match=r"Pulumi\.lab\.yaml: .* divide it into several stacks"):
        workspace.prepare()


def test_one_with_encrypted_values_is_refused_as_nobody_would_decrypt_them(workspace: Workspace) -> None:
    data = yaml.safe_load(LARGE)
    data["config"]["stakeyard:fleet"]["nodes"] = {"n": {"vars": {"a": [{"b": {"secure": "v1:abc"}}]}}}
    workspace.stack_file.write_text(yaml.safe_dump(data))
    with pytest.raises(StakeyardError, match=r"Pulumi\.lab\.yaml: nodes\.n\.vars\.a\[0\]\.b: is encrypted, "):
        workspace.prepare()
    assert not workspace.config_file.exists()


def test_the_state_is_one_file_that_is_replaced_in_one_step(workspace: Workspace) -> None:
    # A second file with metadata would be written in place: killed meanwhile, an update would leave it empty.
    assert workspace.environment({"PATH": "/bin"})["PULUMI_BACKEND_URL"].endswith("/backend?metadata=skip")


def test_what_the_operator_has_set_wins(workspace: Workspace) -> None:
    env = workspace.environment({"PATH": "/bin", "PULUMI_BACKEND_URL": "s3://fleet", "PULUMI_CONFIG_PASSPHRASE": "x"})
    assert env["PULUMI_BACKEND_URL"] == "s3://fleet"
    assert "PULUMI_CONFIG_PASSPHRASE_FILE" not in env


def test_a_state_is_shared_where_another_checkout_can_reach_it(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not workspace.shared
    monkeypatch.setenv("PULUMI_BACKEND_URL", workspace.environment({"PATH": "/bin"})["PULUMI_BACKEND_URL"])
    assert not workspace.shared, "as `stakeyard env` sets it"
    monkeypatch.setenv("PULUMI_BACKEND_URL", "s3://fleet")
    assert workspace.shared


def test_an_unknown_stack_names_those_that_are_there(workspace: Workspace) -> None:
    with pytest.raises(StakeyardError, match=r"there is no stack file .*Pulumi\.prod\.yaml: .* lab\.$"):
        Workspace("prod", directory=workspace.directory, state=workspace.state).prepare()


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("config: {a: J\xfcrgen}\n".encode("latin-1"), "line 1: is not UTF-8; save the file as UTF-8."),
        (b"config: [\n", "line 2: expected the node content, but found '<stream end>'; correct the YAML."),
        (b"config: {1: x}\n", "config: the key 1 is not text; put the key in quotes."),
    ],
)
def test_a_stack_file_that_cannot_be_read_is_one_sentence(workspace: Workspace, raw: bytes, expected: str) -> None:
    workspace.stack_file.write_bytes(raw)
    with pytest.raises(StakeyardError) as refused:
        workspace.prepare()
    assert str(refused.value) == f"{workspace.stack_file}: {expected}"


def test_a_folder_in_its_place_is_one_sentence_too(workspace: Workspace) -> None:
    workspace.stack_file.unlink()
    workspace.stack_file.mkdir()
    with pytest.raises(StakeyardError, match=r"Pulumi\.lab\.yaml: cannot be read \(is a directory\); name a file"):
        workspace.prepare()


def test_a_name_that_is_too_long_for_a_file_is_one_of_no_stack(workspace: Workspace) -> None:
    with pytest.raises(StakeyardError, match=r"^there is no stack file .*: write it, or choose one of lab\.$"):
        Workspace("n" * 300, directory=workspace.directory, state=workspace.state).prepare()


def test_a_command_that_is_killed_never_loses_the_salt(
    workspace: Workspace, pulumi: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace.prepare()
    workspace.stack_file.write_text(FLEET.replace("x", "y"))

    def killed(_path: Path, _target: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        workspace.prepare()
    assert f"encryptionsalt: {SALT}" in workspace.config_file.read_text()


def test_of_first_commands_at_once_one_makes_the_stack(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    def run(self: Workspace, *arguments: str, capture: bool = False) -> subprocess.CompletedProcess[str]:
        made.append(arguments)
        time.sleep(0.2)
        with self.config_file.open("a") as file:
            file.write(f"encryptionsalt: {SALT}\n")
        return subprocess.CompletedProcess(arguments, 0, "", "")

    monkeypatch.setattr(Workspace, "pulumi", run)
    with ThreadPoolExecutor(4) as pool:
        for each in [pool.submit(workspace.prepare) for _ in range(4)]:
            each.result(10)
    assert len(made) == 1
    assert workspace.config_file.read_text() == f"{FLEET}encryptionsalt: {SALT}\n"


def test_one_may_look_at_a_stack_while_it_is_updated(workspace: Workspace, pulumi: list[tuple[str, ...]]) -> None:
    with workspace.lock():
        workspace.prepare()
    before = workspace.config_file.stat().st_ino
    workspace.prepare()
    assert workspace.config_file.stat().st_ino == before


@pytest.mark.parametrize("command", ["config set a:b c", "config rm a:b", "stack change-secrets-provider passphrase"])
def test_nothing_is_encrypted_for_a_stack_without_a_salt_of_its_own(workspace: Workspace, command: str) -> None:
    with pytest.raises(StakeyardError) as refused:
        workspace.pulumi(*command.split())
    assert str(refused.value) == (
        f"stack lab: `pulumi {' '.join(command.split()[:2])}` would write for this machine alone, as "
        f"{workspace.stack_file} has no salt of its own: edit that file by hand, or first give it one as "
        "docs/secrets.md says."
    )


def test_two_commands_never_change_a_stack_at_once(workspace: Workspace) -> None:
    with workspace.lock():
        with pytest.raises(StakeyardError, match="another command changes stack lab"), workspace.lock():
            pass
        for name in ("up", "update", "refresh", "destroy", "down", "dn", "import"):
            with pytest.raises(StakeyardError, match="wait until it has ended"):
                workspace.pulumi(name)
    with workspace.lock():
        pass
