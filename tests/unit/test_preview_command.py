"""The command around its parts: verdicts as exit status, reports for failures too, what its neighbours are asked."""

import io
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console

from stacks.catalogue import Catalogue, load_catalogue
from stacks.errors import StakeyardError
from stacks.fleet import Fleet, load_fleet
from stacks.paths import REPOSITORY
from stacks.preview import assemble, checkout, command, mocked, opened
from stacks.preview.command import Request
from stacks.preview.model import Finding, Inside, Task, Verdict
from stacks.preview.seams import Looking
from stacks.preview.steps import MASKED, change, steps
from tests.preview import recorded
from tests.unit.previews import CONVERGENCE, SERVER, told


class Rules:
    """Policies that say what they are told to."""

    def __init__(self, *findings: Finding) -> None:
        self.findings = findings
        self.asked: list[str] = []

    def fleet(self, fleet: Fleet, catalogue: Catalogue, before: Fleet | None) -> Sequence[Finding]:
        self.asked.append("fleet")
        return self.findings

    def resources(
        self, fleet: Fleet, catalogue: Catalogue, before: Fleet | None, digest: Mapping[str, Any]
    ) -> Sequence[Finding]:
        self.asked.append("resources")
        return ()


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the real roles, the base fleet, and a Pulumi that says what `digest` says."""
    target = tmp_path / "fleet"
    (target / "stacks").mkdir(parents=True)
    (target / "roles").symlink_to(REPOSITORY / "roles")
    (target / recorded.stack_file()).write_text((recorded.HERE / "base.yaml").read_text())
    monkeypatch.setattr(mocked, "digest", lambda *_: {"steps": DIGEST})
    monkeypatch.setattr(checkout, "_image", lambda _directory: {"digest": "0" * 12, "command_line": ""})
    return target


VARIABLES = {"variables": {"kind": "update"}}
DIGEST = [told("update", CONVERGENCE, "bitcoin-1", {"user": "a"}, {"user": "b"})]


def run(repository: Path, out: Path, *rest: Any) -> tuple[Verdict, str]:
    shown = io.StringIO()
    request = Request(recorded.STACK, None, out, mocked=True, repository=repository)
    return command.run(request, Console(file=shown, width=160), *rest), shown.getvalue()


def seen(looking: Looking) -> Mapping[str, Inside]:
    return dict.fromkeys(looking.steps, Inside("seen", tasks=(Task("bitcoin", "Write", "+x"),)))


def seen_by(asked: list[Looking]) -> Callable[[Looking], Mapping[str, Inside]]:
    """A look that also notes what it was asked."""

    def look(looking: Looking) -> Mapping[str, Inside]:
        asked.append(looking)
        return seen(looking)

    return look


def unseen(looking: Looking) -> Mapping[str, Inside]:
    return dict.fromkeys(looking.steps, Inside("unknown", "nobody looked."))


@pytest.mark.parametrize(
    ("rules", "look", "verdict"),
    [
        (Rules(), seen, Verdict.SAFE),
        (Rules(), unseen, Verdict.REVIEW),
        (Rules(Finding("r", "warning", "nodes.bitcoin-1", "odd.")), seen, Verdict.REVIEW),
        (Rules(Finding("r", "error", "nodes.bitcoin-1", "wrong.")), seen, Verdict.REFUSED),
    ],
)
def test_the_status_is_the_verdict_and_all_reports_are_written(
    repository: Path, tmp_path: Path, rules: Rules, look: Any, verdict: Verdict
) -> None:
    status, shown = run(repository, tmp_path / "out", rules, look)
    assert status is verdict
    assert rules.asked == ["fleet", "resources"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["preview.json", "preview.md", "preview.sarif"]
    assert json.loads((tmp_path / "out" / "preview.json").read_text())["exit_code"] == verdict
    assert "bitcoin-1" in shown
    assert "Mocked cloud" in shown
    assert "stakeyard-preview" not in shown


SERVER_ID = {"server_id": {"kind": "update-replace"}}
ON_ONE = {"server_id": "1", "variables": {"a": 1}}


@pytest.mark.parametrize(
    ("now", "paths", "told_of"),
    [
        ({"server_id": "2"}, SERVER_ID, set()),
        ({"server_id": "2"}, {}, set()),
        ({"server_id": "2", "variables": {"a": 2}}, {**SERVER_ID, **VARIABLES}, {"bitcoin-2"}),
        ({"server_id": "2", "variables": {"a": 2}}, {}, {"bitcoin-2"}),
        ({"server_id": "2", "variables": MASKED}, SERVER_ID, {"bitcoin-2"}),
    ],
)
def test_of_a_new_server_the_inside_is_told_where_more_than_the_server_may_differ(
    now: dict[str, Any], paths: dict[str, Any], told_of: set[str]
) -> None:
    step = told("replace", CONVERGENCE, "bitcoin-2", ON_ONE, {**ON_ONE, **now}, detailedDiff=paths)
    converged = assemble.converged(steps({"steps": [step]}))
    assert set(converged) == told_of
    differs = Inside("told", tasks=(Task("bitcoin", "variables", "+x"),))
    assert set(assemble.of_interest(dict.fromkeys(converged, differs), converged)) == told_of
    assert assemble.of_interest(dict.fromkeys(converged, Inside("told")), converged) == {}


def test_the_look_is_told_which_nodes_software_changes_and_only_they(repository: Path, tmp_path: Path) -> None:
    asked: list[Looking] = []
    run(repository, tmp_path / "out", Rules(), seen_by(asked))
    (looking,) = asked
    assert set(looking.steps) == {"bitcoin-1"}
    assert looking.cloud == "mocked"
    assert looking.steps["bitcoin-1"].old_inputs == {"user": "a"}


def test_hosts_are_looked_at_with_the_operators_own_key(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = repository / recorded.stack_file()
    data = yaml.safe_load(path.read_text())
    operators = data["config"]["stakeyard:fleet"]["operators"]
    for key, text in (("public_key_file", "ssh-ed25519 AAAA\n"), ("private_key_file", "-----BEGIN PRIVATE KEY-----\n")):
        operators[key] = str(tmp_path / key)
        (tmp_path / key).write_text(text)
        (tmp_path / key).chmod(0o600)
    path.write_text(yaml.safe_dump(data))
    monkeypatch.setattr(command, "log_in", lambda _cloud: None)
    monkeypatch.setattr(command, "_asked", lambda _request: {"steps": DIGEST})
    asked: list[Looking] = []
    request = Request(recorded.STACK, None, tmp_path / "out", mocked=False, repository=repository)
    assert command.run(request, Console(file=io.StringIO()), Rules(), seen_by(asked)) is Verdict.SAFE
    (looking,) = asked
    assert (looking.cloud, looking.fleet.operators.private_key_file) == ("asked", tmp_path / "private_key_file")


def test_a_login_that_fails_is_said_and_refused_where_the_cloud_is_to_be_asked(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(cloud: str) -> None:
        raise StakeyardError(f"the login at {cloud} failed: correct it.")

    monkeypatch.setattr(command, "log_in", refuse)
    out, shown = tmp_path / "out", io.StringIO()
    for mocked_, status in ((None, Verdict.SAFE), (False, Verdict.FAILED)):
        request = Request(recorded.STACK, None, out, mocked=mocked_, repository=repository)
        assert command.run(request, Console(file=shown, width=160), Rules(), seen) is status
        for text in (shown.getvalue(), *((out / name).read_text() for name in ("preview.md", "preview.json"))):
            assert "he login at example failed: correct it." in text
            assert ("The cloud is mocked because the login at" in text) is (mocked_ is None)
        shown.truncate(0)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda f: f["nodes"]["bitcoin-1"].update(flavour="x"), "nodes.bitcoin-1.flavour: is not a known key"),
        (lambda f: f["nodes"]["bitcoin-1"].update(zone="c"), "nodes.bitcoin-1.zone"),
    ],
)
def test_a_broken_stack_file_is_a_report_too_and_nobody_is_asked(
    repository: Path, tmp_path: Path, change: Any, sentence: str
) -> None:
    path = repository / recorded.stack_file()
    data = yaml.safe_load(path.read_text())
    change(data["config"]["stakeyard:fleet"])
    path.write_text(yaml.safe_dump(data))
    rules = Rules()
    status, shown = run(repository, tmp_path / "out", rules)
    assert status is Verdict.FAILED
    assert rules.asked == []
    assert sentence in shown
    assert "Traceback" not in shown
    assert "**Failed**" in (tmp_path / "out" / "preview.md").read_text()
    assert json.loads((tmp_path / "out" / "preview.json").read_text())["exit_code"] == 1
    (result,) = json.loads((tmp_path / "out" / "preview.sarif").read_text())["runs"][0]["results"]
    assert result["locations"][0]["physicalLocation"]["region"]["startLine"] > 1


def test_a_failure_of_pulumi_is_one_sentence_without_secrets(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> object:
        raise StakeyardError("`pulumi preview` failed: password=hunter2hunter")

    monkeypatch.setattr(mocked, "digest", fail)
    status, shown = run(repository, tmp_path / "out")
    assert status is Verdict.FAILED
    assert "password=[secret]" in shown
    assert "hunter2" not in (tmp_path / "out" / "preview.json").read_text()


def base_fleet() -> tuple[Fleet, Catalogue]:
    catalogue = load_catalogue()
    data = yaml.safe_load((recorded.HERE / "base.yaml").read_text())["config"]["stakeyard:fleet"]
    from tests.unit.bad_stack_files.cases import FakeMachine

    return load_fleet(data, catalogue, FakeMachine()), catalogue


def test_a_node_has_the_kind_the_signer_and_the_downtime_of_the_stack_file() -> None:
    fleet, catalogue = base_fleet()
    digest = [
        told("replace", SERVER, "validator-1", {"a": 1}, {"a": 2}),
        told("update", CONVERGENCE, "bitcoin-1", {"a": 1}, {"a": 2}),
        told("delete", CONVERGENCE, "gone", {"kind": "ethereum_validator", "signer": {"kind": "x"}}),
        told("delete", CONVERGENCE, "lost", {"kind": "forgotten"}),
        told("update", "x:y:Z", "shared", {"a": 1}, {"a": 2}, node=None),
    ]
    nodes, shared = assemble.nodes(steps({"steps": digest}), fleet, None, catalogue, {})
    by_name = {node.name: node for node in nodes}
    assert {name: (node.kind, node.signs, node.touches_signer) for name, node in by_name.items()} == {
        "validator-1": ("ethereum_validator", True, True),
        "bitcoin-1": ("bitcoin", False, False),
        "gone": ("ethereum_validator", True, True),
        "lost": ("forgotten", False, False),
    }
    assert by_name["validator-1"].downtime == "about 35 min (new server)"
    assert by_name["bitcoin-1"].downtime == "about 5 min (service restarted)"
    assert by_name["validator-1"].replaced
    assert [change.name for change in shared] == ["shared"]


def test_a_node_is_new_where_pulumi_makes_all_of_it() -> None:
    def component(op: str, name: str) -> dict[str, Any]:
        return {"op": op, "urn": f"urn:pulumi:s::stakeyard::stakeyard:index:Site$stakeyard:index:Node::{name}"}

    told_of = [component("create", "a"), component("same", "b"), component("create", "c"), component("delete", "c")]
    assert assemble.new_nodes({"steps": told_of}) == {"a"}
    fleet, catalogue = base_fleet()
    made = steps({"steps": [told("create", SERVER, name, None, {"a": 1}) for name in ("bitcoin-1", "bitcoin-2")]})
    nodes, _ = assemble.nodes(made, fleet, fleet, catalogue, {}, new=frozenset({"bitcoin-1"}))
    assert [(node.name, node.new, node.replaced) for node in nodes] == [
        ("bitcoin-1", True, False),
        ("bitcoin-2", False, True),
    ]


def test_what_a_host_lets_through_is_known_though_its_variables_are_masked() -> None:
    fleet, catalogue = base_fleet()
    ranges = (*fleet.operators.ranges, type(fleet.operators.ranges[0])("203.0.113.0/24"))
    head = fleet.model_copy(update={"operators": fleet.operators.model_copy(update={"ranges": ranges})})
    masked = {"variables": MASKED}
    found = steps({"steps": [told("update", CONVERGENCE, "bitcoin-1", masked, masked, detailedDiff=VARIABLES)]})
    for base, opens in ((fleet, ["in tcp 22 from 203.0.113.0/24"]), (None, [])):
        (step,) = assemble.unmasked(found, head, catalogue, base, catalogue)
        assert [each.after for each in change(step).differences if each.path == opened.PATH] == opens
