"""What a role imports is followed, or refused with the file, the task and what to do."""

import shutil
from pathlib import Path

import pytest

from stacks.catalogue import load_catalogue
from stacks.errors import StakeyardError
from tests.unit.bad_stack_files.cases import HERE

ROLE = "must be one of the roles beside this one; write its name in plain text."
FILE = "must name a file in the same folder that ends in .yml; put the tasks there."
FOLLOWED = "is not followed; write the module's name as the key."
CHECK = "check_mode: holds for whatever is imported; set it in the tasks themselves."


@pytest.fixture
def roles(tmp_path: Path) -> Path:
    """A copy of the invented roles, to be changed."""
    copied: Path = shutil.copytree(HERE / "roles", tmp_path / "roles")
    return copied


@pytest.mark.parametrize(
    ("task", "problem"),
    [
        ("include_role: name=shared", f"include_role.name: {ROLE}"),
        ("ansible.builtin.include_role: {name: '{{ x }}'}", f"include_role.name: {ROLE}"),
        ("import_role: {role: shared}", f"import_role.name: {ROLE}"),
        ("import_role: {name: ../shared}", f"import_role.name: {ROLE}"),
        ("import_role: {name: nowhere}", f"import_role.name: {ROLE}"),
        (
            "import_role: {name: shared, tasks_from: ../files/x}",
            "import_role.tasks_from: must be a file of that role; write its name in plain text.",
        ),
        ("include_tasks: '{{ role_path }}/files/t.txt'", f"include_tasks: {FILE}"),
        ("include_tasks: {file: ../files/t.yml}", f"include_tasks: {FILE}"),
        ("include_tasks: '{{ a | default(b) }}.yml'", f"include_tasks: {FILE}"),
        ("import_tasks: more.yaml", f"import_tasks: {FILE}"),
        (
            "import_tasks: more.yml",
            "import_tasks: there is no file 'more.yml' in the same folder; correct the name.",
        ),
        ("{include_tasks: , args: {file: x.yml}}", "args: are not followed; write them under include_tasks."),
        ("action: include_role name=shared", f"action: {FOLLOWED}"),
        ("local_action: {module: include_tasks, file: x}", f"local_action: {FOLLOWED}"),
        ("{import_role: {name: shared}, check_mode: false}", CHECK),
        ("{check_mode: '{{ x }}', block: [{name: Word., import_role: {name: shared}}]}", CHECK),
        ("include_role: {name: shared, apply: {check_mode: false}}", CHECK),
    ],
)
def test_an_import_that_cannot_be_followed_is_refused(task: str, problem: str, roles: Path) -> None:
    path = roles / "ledger" / "handlers" / "main.yml"
    path.parent.mkdir()
    body = task[1:-1] if task.startswith("{") else task
    path.write_text(f"- {{name: Word., {body}}}\n")
    with pytest.raises(StakeyardError) as refused:
        load_catalogue(roles)
    assert str(refused.value) == f"{path}: task 'Word.': {problem}"


def test_files_beside_are_followed_also_by_a_variables_name(roles: Path) -> None:
    tasks = roles / "ledger" / "tasks"
    (tasks / "more.yml").write_text("- ansible.builtin.include_role: {name: validator, tasks_from: main.yml}\n")
    (tasks / "use.yml").write_text("- import_tasks: more.yml\n- include_tasks: '{{ ledger_network }}_more.yml'\n")
    assert load_catalogue(roles).kind("ledger").role_names == ("host", "ledger", "shared", "validator")


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        (
            "meta/main.yml",
            "dependencies: [shared]",
            "dependencies: are not followed; import the role in a task instead.",
        ),
        ("tasks/more.yaml", "[]", "is not named .yml; rename it, or move it to files."),
        ("handlers/main", "[]", "is not named .yml; rename it, or move it to files."),
        ("meta/main.json", "{}", "is not named .yml; rename it, or move it to files."),
    ],
)
def test_what_ansible_would_read_besides_is_refused(name: str, text: str, problem: str, roles: Path) -> None:
    path = roles / "ledger" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    with pytest.raises(StakeyardError) as refused:
        load_catalogue(roles)
    assert str(refused.value) == f"{path}: {problem}"


@pytest.mark.parametrize("place", ["ledger/tasks/more", "ledger/files", "other", "spare.yml"])
def test_a_link_is_refused_to_a_folder_and_to_a_file(place: str, roles: Path, tmp_path: Path) -> None:
    (roles / place).symlink_to(tmp_path if "." not in place else HERE / "cases.py")
    with pytest.raises(StakeyardError, match="is a symbolic link, which no digest follows; put a copy in its place"):
        load_catalogue(roles)


def test_an_editors_own_files_are_left_alone(roles: Path) -> None:
    for name in (".main.yml.swp", "main.yml~"):
        (roles / "ledger" / "tasks" / name).write_text("x")
    assert load_catalogue(roles).kind("ledger")
