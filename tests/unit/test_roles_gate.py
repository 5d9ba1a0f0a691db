"""A release is proven directly behind its health gate: what else a role does cannot put it back."""

from typing import Any

import pytest
import yaml

from stacks.paths import REPOSITORY

ROLES = REPOSITORY / "roles"
IMPORT_ROLE, IMPORT_TASKS = "ansible.builtin.import_role", "ansible.builtin.import_tasks"


def tasks(role: str, name: str) -> list[dict[str, Any]]:
    """The tasks of one file of a role."""
    found: list[dict[str, Any]] = yaml.safe_load((ROLES / role / "tasks" / f"{name}.yml").read_text())
    return found


def guarded(role: str) -> list[list[dict[str, Any]]]:
    """The blocks of a role's main file whose failure rolls back."""
    return [
        task["block"]
        for task in tasks(role, "main")
        if any(step.get(IMPORT_ROLE, {}).get("tasks_from") == "rollback" for step in task.get("rescue", []))
    ]


NAMES = sorted(path.parent.parent.name for path in ROLES.glob("*/tasks/main.yml") if guarded(path.parent.parent.name))


def test_the_kinds_that_install_a_release_are_there() -> None:
    assert {"bitcoin", "ethereum_beacon", "ethereum_execution", "ethereum_validator"} <= set(NAMES)


@pytest.mark.parametrize("role", NAMES)
def test_nothing_stands_between_the_gate_and_the_proof(role: str) -> None:
    (block,) = guarded(role)
    assert block[-2].get(IMPORT_TASKS) == "run.yml"
    assert block[-1].get(IMPORT_ROLE) == {"name": "artifact", "tasks_from": "proven"}


@pytest.mark.parametrize("role", NAMES)
def test_the_gate_is_the_last_thing_of_the_run(role: str) -> None:
    last = tasks(role, "run")[-1]
    gated = "service_health_command" in last.get("vars", {})
    assert gated or last["name"] == "Wait until the client is healthy."


@pytest.mark.parametrize("role", NAMES)
def test_a_rollback_knows_whether_a_start_may_be_ended(role: str) -> None:
    (rescue,) = [task["rescue"] for task in tasks(role, "main") if "rescue" in task]
    (own,) = [task["vars"] for task in tasks(role, "run") if task.get(IMPORT_ROLE, {}).get("name") == "service"]
    for name in ("service_name", "service_start_unlimited"):
        assert rescue[0]["vars"].get(name) == own.get(name)
