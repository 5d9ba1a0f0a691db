"""The role `service` starts a unit and rolls it back: as Ansible itself does it, with a stand-in for systemd."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from stacks.paths import REPOSITORY
from tests.unit import role_plays

SERVICE = REPOSITORY / "roles/service"
# Its answers are the files of $STATE; a start is noted, and from then on the files are those of $STATE/next.
SYSTEMCTL = """#!/bin/sh
test "$1" = --no-block && { blocks=" --no-block"; shift; }
case $1/$2 in
  show/-P) cat "$STATE/$3" ;;
  show/*) echo LoadState=loaded; echo "ActiveState=$(cat "$STATE/ActiveState")" ;;
  is-enabled/*) echo enabled ;;
  is-failed/*) exit 1 ;;
  start/* | restart/*) echo "$1$blocks" >> "$STATE/log"; cp "$STATE"/next/* "$STATE"/ ;;
esac
"""
RUNS = {"Job": "", "ActiveState": "active", "SubState": "running", "MainPID": "0"}
STARTS = {"Job": "7", "ActiveState": "activating", "SubState": "start", "MainPID": "0"}
TRIES_AGAIN = {"Job": "", "ActiveState": "activating", "SubState": "auto-restart", "MainPID": "0"}
FAILED = {"Job": "", "ActiveState": "failed", "SubState": "failed", "MainPID": "0"}


@pytest.mark.parametrize(
    ("state", "status"),
    [
        (RUNS, 0),
        ({**RUNS, "Job": "9"}, 1),  # a restart that has not begun
        (STARTS, 1),
        ({**STARTS, "SubState": "start-pre"}, 1),
        ({**FAILED, "ActiveState": "inactive", "SubState": "dead", "Job": "9"}, 1),  # it waits for its mount
        ({**RUNS, "ActiveState": "deactivating", "SubState": "stop-sigterm"}, 1),
        (TRIES_AGAIN, 3),
        ({**TRIES_AGAIN, "Job": "9"}, 1),  # told to start in the meantime
        (FAILED, 3),
        ({**FAILED, "ActiveState": "inactive", "SubState": "dead"}, 3),  # a condition was not met
    ],
)
def test_a_start_is_on_its_way_or_has_ended(tmp_path: Path, state: Mapping[str, str], status: int) -> None:
    script = yaml.safe_load((SERVICE / "vars/main.yml").read_text())["service_start_script"]
    environment = host(tmp_path, state, RUNS)
    done = subprocess.run(
        ["sh", "-c", script, "sh", "x.service"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == status
    assert ("journal" in done.stderr) == (status != 0)


def host(directory: Path, now: Mapping[str, str], after: Mapping[str, str]) -> dict[str, str]:
    """A stand-in for systemd in this state, and in another after a start; the environment to meet it in."""
    (directory / "next").mkdir(parents=True)
    for folder, state in ((directory, now), (directory / "next", after)):
        for name, value in state.items():
            (folder / name).write_text(value)
    (directory / "log").touch()
    (directory / "systemctl").write_text(SYSTEMCTL)
    (directory / "systemctl").chmod(0o755)
    return {"PATH": f"{directory}:{os.environ['PATH']}", "STATE": str(directory)}


@dataclass(frozen=True)
class Case:
    """A run of a file of tasks on a host in a state; what is said at its end, and what was done to the service."""

    said: str
    done: list[str]
    now: Mapping[str, str] = field(default_factory=lambda: FAILED)
    after: Mapping[str, str] = field(default_factory=lambda: RUNS)
    tasks: str = "rollback"
    given: Mapping[str, Any] = field(default_factory=dict)


OLD = "old"
"""For a main process that is the version before."""
UNLIMITED = {"service_start_unlimited": True}
KNOWN = {"artifact_installed": {"changed": False}, "artifact_seen": {"unproven": False, "previous": "", "current": "1"}}
LEFT = {
    "artifact_installed": {"changed": False},
    "artifact_seen": {"unproven": True, "previous": "1", "current": "2"},
}
CHANGED = {"service_written": {"changed": True}, "service_start_seconds": 5, "service_health_command": ["true"]}
CASES: Mapping[str, Case] = {
    "a release that fails": Case(
        "2 did not pass its health check and 1 runs again; reason: Gate. shut", ["switch", "start"]
    ),
    "a release that answers wrongly": Case("and 1 runs again; reason: Gate. shut", ["switch", "restart"], RUNS),
    "a release that a killed run left": Case(
        "2 did not pass its health check and 1 runs again", ["switch", "start"], given=LEFT
    ),
    "a failure before the release was started": Case(
        "2 was not started and 1 still runs; reason: Gate. shut", ["switch"], {**RUNS, "MainPID": OLD}
    ),
    "the same while the version before starts": Case(
        "2 was not started and 1 still runs", ["switch"], {**STARTS, "MainPID": OLD}, given=UNLIMITED
    ),
    "a release that is still starting": Case("Gate. shut", [], STARTS, given=UNLIMITED),
    "one that was seen failing and is tried again": Case(
        "2 did not pass its health check and 1 runs again; reason: Gate. shut",
        ["switch", "restart --no-block"],
        STARTS,
        given={**UNLIMITED, "service_awaited": {"rc": 3}},
    ),
    "a version before that fails as well": Case(
        "2 did not pass its health check and 1 was put back (chaind.service did not start: look at its journal)",
        ["switch", "start --no-block"],
        after=FAILED,
        given=UNLIMITED,
    ),
    "a failure of a release that is proven": Case("Gate. shut", [], RUNS, given=KNOWN),
    "a change": Case("", ["restart --no-block"], RUNS, RUNS, "run", {**CHANGED, **UNLIMITED}),
    "a change of a service with a limit": Case("", ["restart"], RUNS, RUNS, "run", CHANGED),
    "a change while it starts": Case(
        "is still starting and is not stopped", [], STARTS, RUNS, "run", {**CHANGED, **UNLIMITED}
    ),
    "a change that it does not start with": Case(
        "chaind.service did not start: look at its journal",
        ["restart --no-block"],
        RUNS,
        TRIES_AGAIN,
        "run",
        {**CHANGED, **UNLIMITED},
    ),
    "a start that takes longer than the run waits": Case(
        "is still starting and is not stopped", ["start --no-block"], FAILED, STARTS, "run", {**CHANGED, **UNLIMITED}
    ),
}  # fmt: skip


def play(name: str, case: Case, folder: Path, environment: Mapping[str, str]) -> dict[str, Any]:
    """A play that says `CASE <name>: <reason>` at its end."""
    role = {
        "ansible.builtin.include_role": {"name": "service", "tasks_from": case.tasks},
        "vars": {"service_artifacts": str(folder), "service_name": "chaind", **case.given},
    }
    gate = {"name": "Gate.", "ansible.builtin.fail": {"msg": "shut"}}
    reason = "{{ ansible_failed_result.stderr | default('', true) or ansible_failed_result.msg }}"
    tasks = {"block": [gate], "rescue": [role]} if case.tasks == "rollback" else role
    return {
        "name": name,
        "hosts": "localhost",
        "gather_facts": False,
        "environment": dict(environment),
        "vars": {
            "ansible_python_interpreter": sys.executable,
            "artifact_fetched": {"artifact": "chain"},
            "artifact_installed": {"changed": True, "previous": "1", "current": "2"},
            "artifact_seen": {"unproven": False, "previous": "1", "current": "2"},
        },
        "tasks": [
            {
                "block": [tasks],
                "rescue": [{"ansible.builtin.debug": {"msg": f"CASE {name}: {reason}"}}],
            }
        ],
    }


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, int]]:
    """A folder of artifacts, and a process that is a program of version 1 there."""
    folder = tmp_path_factory.mktemp("artifacts")
    program = folder / "chain/1/bin/chaind"
    program.parent.mkdir(parents=True)
    shutil.copyfile("/bin/sleep", program)
    program.chmod(0o755)
    process = subprocess.Popen([program, "600"])
    yield folder, process.pid
    process.kill()
    process.wait()


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory, old: tuple[Path, int]) -> Mapping[str, tuple[str, list[str]]]:
    """What each case says, and what it did; one Ansible run for all of them."""
    folder = tmp_path_factory.mktemp("service")
    artifact = folder / "roles/artifact/tasks/rollback.yml"
    artifact.parent.mkdir(parents=True)
    switch = [
        {"ansible.builtin.shell": 'echo switch >> "$STATE/log"'},
        {"ansible.builtin.set_fact": {"artifact_restored": {"current": "1"}}},
    ]
    artifact.write_text(json.dumps(switch))
    (folder / "roles/service").symlink_to(SERVICE)
    plays = []
    for number, (name, case) in enumerate(CASES.items()):
        now = {key: str(old[1]) if value == OLD else value for key, value in case.now.items()}
        plays.append(play(name, case, old[0], host(folder / str(number), now, case.after)))
    said = role_plays.told(role_plays.run(folder, plays, folder / "roles"), "CASE")
    return {
        name: (said.get(name, ""), (folder / str(number) / "log").read_text().splitlines())
        for number, name in enumerate(CASES)
    }


@pytest.mark.parametrize("case", CASES)
def test_it_does_what_the_state_of_the_unit_asks_for(answers: Mapping[str, tuple[str, list[str]]], case: str) -> None:
    said, done = answers[case]
    assert done == CASES[case].done
    assert (CASES[case].said in said) if CASES[case].said else not said
    # Whoever must act is told the reason once, and not that something was put back where nothing was.
    assert "switch" in done or "health check" not in said
