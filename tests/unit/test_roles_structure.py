"""What every role promises: variables that are declared and documented, tasks that can be read, checks that exist."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from stacks.paths import REPOSITORY

ROLES = REPOSITORY / "roles"
# A folder without tasks is a kind that puts other roles on one server.
NAMES = sorted(path.parent.name for path in ROLES.glob("*/tasks"))


def read(path: Path) -> Any:
    """A YAML file that must be there."""
    assert path.is_file(), f"{path} is missing"
    return yaml.safe_load(path.read_text())


def variable_problems(role: Path) -> list[str]:
    """Where defaults and argument_specs of a role disagree."""
    defaults = read(role / "defaults/main.yml") or {}
    options = read(role / "meta/argument_specs.yml")["argument_specs"]["main"].get("options") or {}
    problems = [f"{key}: only in defaults" for key in defaults.keys() - options.keys()]
    problems += [
        f"{key}: neither in defaults nor required"
        for key in options.keys() - defaults.keys()
        if not options[key].get("required") and not key.startswith("stakeyard_")
    ]
    for key in defaults.keys() & options.keys():
        if "default" in options[key] and options[key]["default"] != defaults[key]:
            problems.append(f"{key}: another default in argument_specs")
        if not options[key].get("description"):
            problems.append(f"{key}: no description")
    # Roles of one family share variables: ethereum_network is that of ethereum_beacon and ethereum_execution.
    prefixes = (f"{role.name.split('_')[0]}_", "stakeyard_")
    problems += [f"{key}: not prefixed" for key in defaults.keys() | options.keys() if not key.startswith(prefixes)]
    return sorted(problems)


def tasks(role: Path) -> Iterator[dict[str, Any]]:
    """Every task and handler, those in blocks too."""

    def inside(items: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        for item in items:
            yield item
            for key in ("block", "rescue", "always"):
                yield from inside(item.get(key) or [])

    for folder in ("tasks", "handlers"):
        for path in sorted((role / folder).rglob("*.yml")):
            yield from inside(read(path) or [])


def naming_problems(role: Path) -> list[str]:
    """Tasks without a name that is a sentence."""
    return [
        str(task.get("name", task))
        for task in tasks(role)
        if not (name := str(task.get("name", ""))) or not name[0].isupper() or not name.endswith(".")
    ]


def test_the_roles_that_every_node_needs_are_there() -> None:
    assert {"host", "service", "artifact"} <= set(NAMES)
    assert [name for name in NAMES if (ROLES / name / "node.yml").is_file() and name != "host"], "no kind of node"


@pytest.mark.parametrize("name", NAMES)
def test_every_variable_is_declared_documented_and_prefixed(name: str) -> None:
    assert variable_problems(ROLES / name) == []


@pytest.mark.parametrize("name", NAMES)
def test_every_task_has_a_sentence_for_a_name(name: str) -> None:
    assert list(tasks(ROLES / name)), "a role without tasks"
    assert naming_problems(ROLES / name) == []


@pytest.mark.parametrize("name", [name for name in NAMES if (ROLES / name / "node.yml").is_file()])
def test_every_kind_of_node_has_checks(name: str) -> None:
    files = list((ROLES / name / "verify").glob("test_node*.py"))
    assert files
    assert all("\ndef test_" in path.read_text() for path in files)


@pytest.mark.parametrize("name", NAMES)
def test_modules_of_a_role_say_what_they_do(name: str) -> None:
    for module in (ROLES / name / "library").glob("*.py"):
        text = module.read_text()
        assert "DOCUMENTATION = " in text, module.name
        assert "supports_check_mode=True" in text, f"{module.name} has no check mode"


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """A copy of the role `service` that a test may break."""
    return shutil.copytree(ROLES / "service", tmp_path / "service")


def test_an_undeclared_variable_is_found(broken: Path) -> None:
    with (broken / "defaults/main.yml").open("a") as file:
        file.write("service_secret_door: 1\nother_role: 2\n")
    assert variable_problems(broken) == [
        "other_role: not prefixed",
        "other_role: only in defaults",
        "service_secret_door: only in defaults",
    ]


def test_a_default_that_differs_from_its_declaration_is_found(broken: Path) -> None:
    defaults = broken / "defaults/main.yml"
    defaults.write_text(defaults.read_text().replace("service_open_files: 8192", "service_open_files: 1"))
    assert variable_problems(broken) == ["service_open_files: another default in argument_specs"]


def test_missing_declarations_are_an_error_and_not_an_empty_list(broken: Path) -> None:
    (broken / "meta/argument_specs.yml").unlink()
    with pytest.raises(AssertionError, match=r"argument_specs\.yml is missing"):
        variable_problems(broken)


def test_a_task_without_a_sentence_is_found(broken: Path) -> None:
    (broken / "tasks/more.yml").write_text("- name: Outer.\n  block:\n    - name: start it\n    - command: 'true'\n")
    assert naming_problems(broken) == ["start it", "{'command': 'true'}"]
