"""What is seen inside hosts, what is told instead, and what a look never does."""

import shutil
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stacks import role_files
from stacks.errors import StakeyardError
from stacks.preview.inside import Folders, NoAnswerError, Subject, look
from stacks.preview.model import Inside, Task
from stacks.task_changes import TaskChange
from stacks.variables import Plan

ROLES = ("common", "own")


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """The role files of the base revision."""
    directory = tmp_path / "base"
    for role, files in {
        "common": {"tasks/main.yml": "- name: Look.\n  command: date\n  check_mode: false\n"},
        "own": {"artifacts.yml": "default: {main: '1.0', test: '1.0'}\n", "files/picture": "\0\1"},
    }.items():
        for name, text in files.items():
            path = directory / role / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    (directory / "conftest.py").write_text("# shared\n")
    return directory


@pytest.fixture
def head(base: Path, tmp_path: Path) -> Path:
    """The role files that are to come: the same until a test changes them."""
    return Path(shutil.copytree(base, tmp_path / "head"))


def plan(head: Path, name: str = "n1", **variables: object) -> Plan:
    return Plan(
        name=name,
        kind="own",
        roles=ROLES,
        roles_digest=role_files.digest(ROLES, head),
        units=(),
        managed=(),
        variables={"word": "one", **variables},
        own=("word",),
        secret=(),
        mounts={"data": "/data"},
        sizes={"data": 10},
        throwaway=True,
        cloud="lab",
        private_key_file="/key",
        backup=None,
        signer=None,
    )


def inputs(folder: Path, name: str = "n1", **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "roles_digest": role_files.digest(ROLES, folder),
        "variables": {
            "word": "one",
            "stakeyard_volumes": {"data": {"device_id": "d-1", "mount": "/data", "size_gib": 10}},
        },
        "secret_variables": [],
        "server_id": "s-1",
        **more,
    }


SIGNER = {"kind": "own", "volume_id": "v-1", "public_keys": ["k"], "uses": []}


class Hosts:
    """Hosts that answer as a test says, and remember what they were asked."""

    def __init__(self, *changes: TaskChange, error: StakeyardError | None = None) -> None:
        self.changes, self.error = changes, error
        self.variables: list[Mapping[str, object]] = []
        self.secret: set[str] = set()

    def claim(self, inputs: Mapping[str, Any]) -> Mapping[str, object]:
        if inputs["server_id"] != "s-1":
            raise StakeyardError("n1: the claim is not this server's")
        return {"server": "s-1", "generation": 3}

    def check(
        self,
        inputs: Mapping[str, Any],
        plan: Plan,
        variables: Mapping[str, object],
        secret: Iterable[str],
        found: Callable[[TaskChange], None],
    ) -> None:
        self.variables.append(variables)
        self.secret = set(secret)
        for change in self.changes:
            found(change)
        if self.error:
            raise self.error


def subject(head: Path, base: Path, **more: Any) -> Subject:
    return Subject(plan(head), ROLES, inputs(base), **more)


def test_a_host_that_answers_is_seen(head: Path, base: Path) -> None:
    hosts = Hosts(TaskChange("own", "Write", "+a"), TaskChange("own", "Start"))
    found = look([subject(head, base)], Folders(head, base), hosts)
    assert found == {"n1": Inside("seen", "", (Task("own", "Write", "+a"), Task("own", "Start")))}
    assert hosts.variables == [
        {
            "word": "one",
            "stakeyard_volumes": {"data": {"device_id": "d-1", "mount": "/data", "size_gib": 10}},
            "stakeyard_kind_digest": role_files.digest(ROLES, head),
        }
    ]


def test_a_signer_is_seen_with_the_claim_that_it_has(head: Path, base: Path) -> None:
    hosts = Hosts()
    signing = Subject(replace(plan(head), signer=SIGNER), ROLES, inputs(base, signer=SIGNER))
    assert look([signing], Folders(head, base), hosts)["n1"].how == "seen"
    assert hosts.variables[0]["stakeyard_claim"] == {"server": "s-1", "generation": 3}


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"signer": None}, "the node does not sign yet, so that it has no claim to check"),
        ({"signer": SIGNER, "server_id": "s-2"}, "check mode did not get through: n1: the claim is not this server's"),
    ],
)
def test_a_signer_without_its_claim_is_not_looked_at(head: Path, base: Path, more: Mapping[str, Any], why: str) -> None:
    hosts = Hosts(TaskChange("own", "Write"))
    signing = Subject(replace(plan(head), signer=SIGNER), ROLES, inputs(base, **more))
    assert look([signing], Folders(head, base), hosts)["n1"] == Inside("told", why, complete=False)
    assert hosts.variables == []


def test_a_host_that_does_not_answer_is_told(head: Path, base: Path) -> None:
    (head / "own" / "artifacts.yml").write_text("default: {main: '1.1', test: '1.0'}\n")
    (head / "own" / "files" / "picture").write_bytes(b"\0\2")
    (head / "own" / "files" / "picture").chmod(0o755)
    (head / "conftest.py").write_text("# changed\n")
    hosts = Hosts(error=NoAnswerError("ssh: no route"))
    changed = Subject(plan(head, word="two"), ROLES, inputs(base))
    found = look([changed], Folders(head, base), hosts)["n1"]
    assert (found.how, found.reason, found.complete) == ("told", "the host did not answer: ssh: no route", False)
    assert [(task.role, task.name) for task in found.tasks] == [
        ("all roles", "variables"),
        ("checks", "conftest.py"),
        ("own", "pinned releases"),
        ("own", "artifacts.yml"),
        ("own", "files/picture"),
    ]
    assert found.tasks[0].diff.splitlines()[-2:] == ["-word: one", "+word: two"]
    assert "-main: '1.0'\n+main: '1.1'\n test: '1.0'" in found.tasks[2].diff
    assert found.tasks[4].diff == "now executable\n(not text)"


def test_what_was_seen_before_a_failure_stays_with_the_reason(head: Path, base: Path) -> None:
    hosts = Hosts(TaskChange("own", "Write"), error=StakeyardError("n1: role own, task 'Refuse': no"))
    found = look([subject(head, base)], Folders(head, base), hosts)["n1"]
    assert found == Inside(
        "seen",
        "check mode did not get through, so there may be more: n1: role own, task 'Refuse': no",
        (Task("own", "Write"),),
        complete=False,
    )


ANEW = "the server would be replaced: all but its volumes would be made anew"
TWO_VOLUMES = {"data": "/d", "more": "/m"}


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (lambda old: replace(old, inputs=None), "the node is new: all of it would be made"),
        (lambda old: replace(old, replaced=True), ANEW),
        (lambda old: replace(old, plan=replace(old.plan, mounts=TWO_VOLUMES)), "volume more is not there yet"),
    ],
)
def test_a_look_that_would_say_nothing_is_not_made(
    head: Path, base: Path, made: Callable[[Subject], Subject], why: str
) -> None:
    hosts = Hosts()
    found = look([made(subject(head, base))], Folders(head, base), hosts)["n1"]
    assert (found.how, found.reason) == ("told", why)
    assert hosts.variables == []


def test_a_task_that_acts_in_check_mode_reaches_no_host_before_it_is_reviewed(head: Path, base: Path) -> None:
    tasks = head / "common" / "tasks" / "main.yml"
    tasks.write_text(tasks.read_text().replace("date", "rm /data/keys"))
    hosts = Hosts(TaskChange("own", "Write"))
    found = look([subject(head, base)], Folders(head, base), hosts)["n1"]
    assert found.how == "told"
    assert found.reason == (
        "what may act even in check mode is new (common/tasks/main.yml): it runs on no host before it has been reviewed"
    )
    assert "+  command: rm /data/keys" in found.tasks[0].diff
    assert hosts.variables == []


def test_a_task_that_is_bound_by_check_mode_is_no_reason(head: Path, base: Path) -> None:
    with (head / "common" / "tasks" / "main.yml").open("a") as file:
        file.write("- {name: More., command: rm, check_mode: true}\n")
    assert look([subject(head, base)], Folders(head, base), Hosts())["n1"].how == "seen"


def test_without_hosts_and_state_two_plans_are_compared(head: Path, base: Path) -> None:
    told = Subject(plan(head, word="two"), ROLES, None, base=plan(base))
    found = look([told], Folders(head, base), None)["n1"]
    assert (found.how, found.reason, [task.name for task in found.tasks]) == ("told", "", ["variables"])
    assert found.complete, "no look was to be made"


def test_a_volume_that_grows_is_seen_with_its_new_size_and_told_with_both(head: Path, base: Path) -> None:
    grown = Subject(replace(plan(head), sizes={"data": 20}), ROLES, inputs(base))
    hosts = Hosts()
    look([grown], Folders(head, base), hosts)
    assert hosts.variables[0]["stakeyard_volumes"] == {"data": {"device_id": "d-1", "mount": "/data", "size_gib": 20}}
    told = look([grown], Folders(head, base), None)["n1"]
    assert "-    size_gib: 10\n+    size_gib: 20" in told.tasks[0].diff


def test_what_cannot_be_told_is_unknown(head: Path, base: Path) -> None:
    (base / "own" / "artifacts.yml").write_text("default: {}\n")
    found = look([subject(head, base)], Folders(head), None)["n1"]
    assert found == Inside(
        "unknown", "no host was asked; the role files that are deployed are not known: name --base", ()
    )
    (base / "own" / "artifacts.yml").write_text("default: {main: '0.9'}\n")
    stale = Subject(plan(head), ROLES, inputs(head, roles_digest="other"))
    assert "deployed are not those of the base" in look([stale], Folders(head, base), None)["n1"].reason


def test_no_secret_is_told_or_seen(head: Path, base: Path) -> None:
    old = inputs(base, secret_variables=["word_of_honour"])
    old["variables"]["word_of_honour"] = "hunter-old"
    old["variables"]["seed"] = "seed-old"
    (head / "own" / "files" / "note").write_text("seed-new and hunter-new\n")
    new = plan(head, word_of_honour="hunter-new", seed="seed-new", remark="hunter-new too")
    secret = Subject(new, ROLES, old, secret=frozenset({"seed"}))
    told = look([secret], Folders(head, base), None)["n1"]
    assert "hunter" not in repr(told)
    assert "seed-" not in repr(told)
    assert "+word_of_honour: '*** (another value)'" in told.tasks[0].diff
    changes = [TaskChange("own", "Write hunter-new", "-hunter-old\n+seed-new")]
    hosts = Hosts(*changes, error=StakeyardError("n1: seed-old is wrong"))
    seen = look([secret], Folders(head, base), hosts)["n1"]
    assert seen.tasks == (Task("own", "Write ***", "-***\n+***"),)
    assert seen.reason.endswith("n1: *** is wrong")
    assert hosts.secret == {"word_of_honour", "seed"}


def test_hosts_are_looked_at_beside_each_other_but_not_all_at_once(head: Path, base: Path) -> None:
    together = threading.Barrier(3, timeout=30)
    lock, running, most = threading.Lock(), 0, 0

    class Slow(Hosts):
        def check(self, *arguments: Any) -> None:
            nonlocal running, most
            with lock:
                running += 1
                most = max(most, running)
            together.wait()
            with lock:
                running -= 1

    names = [f"n{number}" for number in range(9)]
    subjects = [Subject(plan(head, name), ROLES, inputs(base, name)) for name in names]
    found = look(subjects, Folders(head, base), Slow(), parallel=3)
    assert list(found) == names
    assert most == 3
