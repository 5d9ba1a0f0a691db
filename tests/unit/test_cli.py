"""What the `stakeyard` command refuses is one sentence on standard error, never a traceback."""

import json
import re
import sys
from pathlib import Path
from subprocess import CalledProcessError
from types import SimpleNamespace

import pytest
import yaml
from rich.console import Console

from stacks import cli, fleet
from stacks.paths import REPOSITORY
from tests.unit.bad_stack_files.cases import FakeMachine

LONG = "n" * 300


def refusal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line that the command gives up with."""
    monkeypatch.setattr(sys, "argv", ["stakeyard", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 1
    (line,) = capsys.readouterr().err.splitlines()
    return line.removeprefix("stakeyard: ")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("devnet ethereum_beacon FILE", r"FILE cannot be used \(not a directory\): name a new folder\."),
        (f"devnet ethereum_beacon {LONG}", rf"{LONG} cannot be used \(file name too long\): name a new folder\."),
        ("devnet ethereum_beacon --sets", r"--sets looks like an option: name the folder first, as in .*FOLDER`\."),
        ("devnet ethereum_beacon", r"name a kind and a new folder: `stakeyard devnet ethereum_beacon FOLDER`\."),
        ("devnet", r"name a kind and a new folder: `stakeyard devnet ethereum_beacon FOLDER`\."),
        ("devnet bitcoin --help", r"kind bitcoin cannot make a private network; ethereum_beacon can\."),
        ("devnet ethereum_beacon NEW --validators 3 --sets 7", r"--sets 7: the keys of 3 validators fill no more .*\."),
        ("devnet ethereum_beacon NEW --sets 0", r"--sets 0: must be at least 1\."),
        ("artifact prefetch nope", r"no kind `nope` has software of its own; choose bitcoin, .*\."),
        ("artifact prefetch bitcoin", r"FILE/\S* cannot be used \(not a directory\): .* that you may write to\."),
    ],
)
def test_a_path_that_will_not_do_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: str, expected: str
) -> None:
    file = tmp_path / "file"
    file.touch()
    monkeypatch.setenv("STAKEYARD_CACHE", str(file))
    said = refusal(
        monkeypatch, capsys, *arguments.replace("FILE", str(file)).replace("NEW", str(tmp_path / "new")).split()
    )
    assert not (tmp_path / "new").exists()
    assert re.fullmatch(expected.replace("FILE", str(file)), said), said


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (PermissionError(13, "Permission denied", "/x/.state"), "/x/.state: permission denied; see that this user"),
        (OSError(28, "No space left on device"), "[Errno 28] No space left on device"),
        (TimeoutError("processes of control group lab do not end"), "processes of control group lab do not end"),
        (
            CalledProcessError(32, ["umount", "/x y"], stderr="target is busy\n"),
            "`umount '/x y'` failed: target is busy",
        ),
        (CalledProcessError(1, "nft list", b"", b""), "`nft list` failed: no answer"),
    ],
)
def test_what_the_machine_refuses_is_a_sentence_too(
    error: Exception, expected: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(cli, "Workspace", fail)
    assert refusal(monkeypatch, capsys, "recover").startswith(expected)


def test_a_mistake_of_ours_shows_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise KeyError("nothing")

    monkeypatch.setattr(cli, "Workspace", fail)
    monkeypatch.setattr(sys, "argv", ["stakeyard", "recover"])
    with pytest.raises(KeyError):
        cli.main()


@pytest.mark.parametrize("arguments", ["--help", "up --help", "--stack nope up -h"])
def test_who_asks_for_help_makes_no_stack(
    arguments: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[list[str]] = []

    def help_of_pulumi(words: list[str]) -> int:
        asked.append(words)
        return 0

    monkeypatch.setattr(cli, "help_of_pulumi", help_of_pulumi)
    monkeypatch.setattr(cli, "Workspace", lambda *_: pytest.fail("a stack was asked for"))
    monkeypatch.setattr(sys, "argv", ["stakeyard", "pulumi", *arguments.split()])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 0
    assert "--stack" in capsys.readouterr().out
    assert asked == [arguments.removeprefix("--stack nope ").split()]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("--help", "KIND"),
        ("-h", "KIND"),
        ("ethereum_beacon --help", "--validators VALIDATORS"),
        ("ethereum_beacon folder --sets 3 --help", "--validators VALIDATORS"),
    ],
)
def test_help_of_a_private_network_makes_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["stakeyard", "devnet", *arguments.split()])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 0
    assert said in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


WRONG = r"nodes\.bitcoin-1\.zone: .* \(policy regions\)"
REGIONS: dict[str, object] = {"regions": ["eu-de"]}
WAIVED = {**REGIONS, "waivers": [{"rule": "regions", "reason": "a test", "expires": "2999-01-31"}]}
OLD_WAIVER = {"waivers": [{"rule": "regions", "reason": "a test", "expires": "2020-01-31"}]}


def lab_stack(directory: Path, monkeypatch: pytest.MonkeyPatch, policy: object) -> Path:
    """The lab's stack file with policies of its own, on a machine that has its keys."""
    monkeypatch.setattr(fleet, "ControlMachine", FakeMachine)
    said = yaml.safe_load((REPOSITORY / "stacks" / "Pulumi.lab.yaml").read_text())
    said["config"]["stakeyard:fleet"]["policy"] = policy
    file = directory / "Pulumi.lab.yaml"
    file.write_text(yaml.safe_dump(said))
    return file


@pytest.mark.parametrize(
    ("policy", "status", "said"),
    [
        ({}, 0, "FILE: good, 2 nodes"),
        (REGIONS, 1, f"FILE: error: {WRONG}"),
        (WAIVED, 0, rf"FILE: error: {WRONG} Waived: a test \(until 2999-01-31\)\.\n.*FILE: good, 2 nodes"),
        (OLD_WAIVER, 0, r"FILE: warning: policy\.waivers.* \(policy expired-waiver\)\nFILE: good, 2 nodes"),
    ],
)
def test_check_tells_what_the_policies_say(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    *,
    policy: object,
    status: int,
    said: str,
) -> None:
    file = lab_stack(tmp_path, monkeypatch, policy)
    monkeypatch.setattr(sys, "argv", ["stakeyard", "check", str(file)])
    monkeypatch.setattr(cli, "console", Console(width=10_000))
    with pytest.raises(SystemExit) as ended:
        cli.main()
    shown = capsys.readouterr().out
    assert ended.value.code == status, shown
    assert re.match(said.replace("FILE", str(file)), shown, re.DOTALL), shown


@pytest.mark.parametrize(
    ("command", "policy", "refused"),
    [
        ("up --yes", REGIONS, True),
        ("--color never update", REGIONS, True),
        ("preview", REGIONS, True),
        ("up --yes", WAIVED, False),
        ("destroy --yes", REGIONS, False),
        ("refresh", REGIONS, False),
        ("stack output", REGIONS, False),
    ],
)
def test_pulumi_does_not_start_for_a_fleet_that_a_policy_refuses(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    *,
    command: str,
    policy: object,
    refused: bool,
) -> None:
    file = lab_stack(tmp_path, monkeypatch, policy)
    started: list[str] = []

    def pulumi(*arguments: str) -> SimpleNamespace:
        started.extend(arguments)
        return SimpleNamespace(returncode=1)

    workspace = SimpleNamespace(stack_file=file, prepare=lambda: None, pulumi=pulumi)
    monkeypatch.setattr(cli, "Workspace", lambda _stack: workspace)
    monkeypatch.setattr(sys, "argv", ["stakeyard", "pulumi", *command.split()])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 1
    assert started == ([] if refused else command.split())
    sentence = rf"stakeyard: {file}: {WRONG} `stakeyard check {file}` shows 1 more\.\n"
    assert re.fullmatch(sentence if refused else "", capsys.readouterr().err)


RULE = "openstack:networking/secGroupRule:SecGroupRule"
OPEN = {
    "direction": "ingress",
    "ethertype": "IPv4",
    "protocol": "tcp",
    "portRangeMin": 22,
    "portRangeMax": 22,
    "remoteIpPrefix": "0.0.0.0/0",
}


@pytest.mark.parametrize(
    ("command", "status", "broken"),
    [("up --yes", 0, True), ("update", 0, True), ("up --yes", 255, False), ("preview", 0, False)],
)
def test_an_update_that_left_what_a_policy_refuses_fails(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    *,
    command: str,
    status: int,
    broken: bool,
) -> None:
    file = lab_stack(tmp_path, monkeypatch, {})
    urn = f"urn:pulumi:lab::stakeyard::{RULE}::all"
    rules = [{"urn": urn, "type": RULE, "inputs": OPEN}, {"urn": urn, "type": RULE, "inputs": OPEN, "delete": True}]
    state = json.dumps({"deployment": {"resources": rules}})

    def pulumi(*arguments: str, capture: bool = False) -> SimpleNamespace:
        assert capture == (arguments[:2] == ("stack", "export"))
        return SimpleNamespace(returncode=0 if capture else status, stdout=state, stderr="")

    workspace = SimpleNamespace(stack="lab", stack_file=file, prepare=lambda: None, pulumi=pulumi)
    monkeypatch.setattr(cli, "Workspace", lambda _stack: workspace)
    monkeypatch.setattr(sys, "argv", ["stakeyard", "pulumi", *command.split()])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == (1 if broken else status)
    sentence = (
        rf"stakeyard: stack lab was updated, and now breaks a policy:\n{RULE}::all: .*\(policy open-administration\)\n"
    )
    assert re.fullmatch(sentence if broken else "", capsys.readouterr().err)
