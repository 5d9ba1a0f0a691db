"""What `stakeyard drift` makes of Pulumi's answer, and how it ends."""

import io
import json
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from stacks import cli
from stacks.errors import StakeyardError
from stacks.preview import drift
from stacks.runner import hider
from stacks.workspace import Workspace

STACK = "urn:pulumi:lab::stakeyard::"
SITE = f"{STACK}stakeyard:index:Site::site"
NODE = f"{STACK}stakeyard:index:Site$stakeyard:index:Node::n1"
PARENTS = {SITE: "", NODE: SITE}


def step(kind: str, name: str, op: str = "refresh", parent: str = NODE, **states: Any) -> dict[str, Any]:
    path = {SITE: "stakeyard:index:Site$", NODE: "stakeyard:index:Site$stakeyard:index:Node$"}.get(parent, "")
    found: dict[str, Any] = {"op": op, "urn": f"{STACK}{path}{kind}::{name}", "detailedDiff": states.pop("diff", None)}
    for side, state in states.items():
        found[f"{side}State"] = {"parent": parent, **state} if state is not None else None
    return found


def components() -> list[dict[str, Any]]:
    return [
        {"op": "refresh", "urn": SITE, "oldState": {}, "newState": {}},
        {"op": "refresh", "urn": NODE, "oldState": {}, "newState": {"parent": SITE}},
    ]


SERVER = "openstack:compute/instance:Instance"
GROUP_RULE = "openstack:networking/secGroupRule:SecGroupRule"
CONVERGENCE = "stakeyard:index:Convergence"
CHECKS = "stakeyard:index:FleetChecks"

CASES: list[tuple[str, dict[str, Any], dict[str, tuple[str, ...]]]] = [
    (
        "a host that changed",
        step(CONVERGENCE, "n1", "update", new={"outputs": {"drift": ["/etc/x was changed", "/etc/x was changed"]}}),
        {"n1": ("/etc/x was changed",)},
    ),
    (
        "drift that an earlier refresh has written down already",
        step(CONVERGENCE, "n1", new={"outputs": {"drift": ["/etc/x is gone"]}}),
        {"n1": ("/etc/x is gone",)},
    ),
    ("a host as it was", step(CONVERGENCE, "n1", new={"outputs": {"drift": []}}), {}),
    (
        "a check that only several nodes together can fail",
        step(CHECKS, "bitcoin", "update", parent="", new={"outputs": {"drift": ["check 'a' failed: b\n c"]}}),
        {"(all)": ("check 'a' failed: b c",)},
    ),
    (
        "a server that was resized by hand",
        step(
            SERVER,
            "n1",
            "update",
            old={"inputs": {"flavorName": "small"}, "outputs": {"flavorName": "small", "updated": "1"}},
            new={"outputs": {"flavorName": "large", "updated": "2"}},
            diff={"flavorName": {"kind": "update"}, "updated": {"kind": "update"}},
        ),
        {"n1": ('Instance n1: flavorName is "large", not "small"',)},
    ),
    (
        "what only the cloud computes",
        step(SERVER, "n1", "update", old={"inputs": {}, "outputs": {"at": "1"}}, new={"outputs": {"at": "2"}}),
        {},
    ),
    (
        "one entry of a list, without a detailed difference",
        step(
            "openstack:networking/port:Port",
            "n1",
            "update",
            old={"inputs": {"ids": ["a"], "__defaults": []}, "outputs": {"ids": ["a"], "__defaults": []}},
            new={"outputs": {}},
        ),
        {"n1": ('Port n1: ids is nothing, not ["a"]',)},
    ),
    (
        "something shared that is gone",
        step(GROUP_RULE, "ssh", "delete", parent=SITE, old={"inputs": {}}, new=None),
        {"(all)": ("SecGroupRule ssh is gone",)},
    ),
    ("what is not in the cloud", step("pulumi:providers:openstack", "cloud", "update", parent="", new={}), {}),
]  # fmt: skip


@pytest.mark.parametrize(("given", "found"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_drift_is_told_by_node(given: dict[str, Any], found: dict[str, tuple[str, ...]]) -> None:
    assert drift.drift({"steps": [*components(), given]}) == found


def test_no_secret_is_told() -> None:
    told = step(CONVERGENCE, "n1", new={"outputs": {"drift": ["check 'a' failed: hunter22 was found"]}})
    assert "hunter" not in repr(drift.drift({"steps": [*components(), told]}, hider(["hunter22"])))
    encrypted: Any = SimpleNamespace(nodes={"n1": SimpleNamespace(vars={"a": {"b": ["hunter22"]}})})
    assert list(drift.own_words(encrypted)) == ["hunter22"]
    assert list(drift.own_words(None)) == []


def test_a_long_value_is_cut() -> None:
    states: dict[str, Any] = {"old": {"inputs": {"a": ""}, "outputs": {"a": ""}}, "new": {"outputs": {"a": "x" * 500}}}
    line = drift.drift({"steps": [*components(), step(SERVER, "n1", "update", **states)]})["n1"][0]
    assert len(line) < 200


class Desk:
    """A stack whose Pulumi answers as a test says."""

    def __init__(self, answer: subprocess.CompletedProcess[str]) -> None:
        self.stack, self.stack_file = "lab", Path("unread")
        self.answer = answer
        self.asked: list[tuple[str, ...]] = []

    def pulumi(self, *arguments: str, capture: bool = False) -> subprocess.CompletedProcess[str]:
        self.asked.append(arguments)
        return self.answer


def desk(digest: object, status: int = 0, stderr: str = "") -> Any:
    text = digest if isinstance(digest, str) else json.dumps(digest)
    return Desk(subprocess.CompletedProcess([], status, text, stderr))


FAILURE = {"diagnostics": [{"severity": "warning", "message": "w"}, {"severity": "error", "message": "a\nno token\n"}]}


@pytest.mark.parametrize(
    ("workspace", "sentence"),
    [
        (desk(FAILURE, 255), "stack lab could not be read: no token"),
        (desk("", 255, "error: passphrase must be set\n"), "could not be read: error: passphrase must be set"),
        (desk("no JSON"), "can be understood"),
        (desk("[]"), "can be understood"),
        (desk({"duration": 1}), "nothing to look at: run `stakeyard pulumi up` first"),
    ],
)
def test_a_look_that_fails_is_never_taken_for_no_drift(workspace: Any, sentence: str) -> None:
    with pytest.raises(StakeyardError, match=sentence):
        drift.refreshed(workspace)


@pytest.fixture
def good_fleet(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = {name: SimpleNamespace(kind="bitcoin", vars={}) for name in ("n2", "n1")}
    monkeypatch.setattr(drift, "load_stack_file", lambda *_: SimpleNamespace(nodes=nodes))
    monkeypatch.setattr(drift, "decrypted", lambda *_: None)


def test_the_report_has_all_nodes_and_the_status_says_whether_something_drifted(
    good_fleet: None, tmp_path: Path
) -> None:
    changed = step(CONVERGENCE, "n1", "update", new={"outputs": {"drift": ["/etc/[x] is gone"]}})
    text = io.StringIO()
    workspace = desk({"steps": [*components(), changed]})
    assert drift.look(workspace, Console(file=text, width=200), tmp_path / "out") == 2
    # Nothing but a look: `--preview-only` neither writes the state nor touches the cloud.
    assert workspace.asked == [("refresh", "--preview-only", "--json", "--non-interactive")]
    assert "n1: /etc/[x] is gone" in text.getvalue()
    written = json.loads((tmp_path / "out" / "preview.json").read_text())
    assert written["drift"] == {"n1": ["/etc/[x] is gone"]}
    assert [node["name"] for node in written["nodes"]] == ["n1", "n2"]
    assert drift.look(desk({"steps": components()}), Console(file=text), None) == 0
    assert text.getvalue().endswith("nothing has drifted\n")


def test_the_command_ends_with_the_status(good_fleet: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Workspace, "prepare", lambda _self: None)
    answers = [desk({"steps": components()}), desk(FAILURE, 255)]
    monkeypatch.setattr(Workspace, "pulumi", lambda _self, *words, **_: answers.pop(0).pulumi(*words))
    assert CliRunner().invoke(cli.app, ["drift", "--stack", "lab"]).exit_code == 0
    failed = CliRunner().invoke(cli.app, ["drift", "--stack", "lab"])
    assert isinstance(failed.exception, StakeyardError)
