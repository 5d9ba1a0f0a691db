"""No way to write a task that acts in check mode gets past the comparison with the base revision."""

import shutil
from pathlib import Path
from textwrap import indent

import pytest

from stacks.preview.unbound import unbound

READS = "- name: Read.\n  command: date\n  check_mode: false\n"
FILES = {
    "own/tasks/main.yml": READS,
    "own/tasks/guarded.yml": "- when: rarely\n  block:\n" + indent(READS, "    "),
    "own/tasks/odd.yml": "- name: Not for this reader.\n  a: [\n",
    "own/files/picture": "\0\1",
    "own/templates/conf.j2": "{% if x %}\na = {{ b }}\n{% endif %}\n",
    "other/tasks/main.yml": "[]\n",
}


@pytest.fixture
def base(tmp_path: Path) -> Path:
    directory = tmp_path / "base"
    for name, text in FILES.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return directory


@pytest.fixture
def head(base: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(base, tmp_path / "head"))


def test_what_is_as_it_was_has_been_reviewed(head: Path, base: Path) -> None:
    assert unbound(head, base) == ()
    assert unbound(head, None) == ()


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("own/handlers/main.yml", "- block:\n    - {name: Hide., command: rm, check_mode: false}\n"),
        ("own/handlers/main.yml", "- {command: rm, check_mode: '{{ no }}'}\n"),
        ("own/handlers/main.yml", "- {import_role: {name: x}, check_mode: no}\n"),
        ("own/handlers/main.yml", '- {command: rm, "check\\x5fmode": false}\n'),
        ("own/handlers/main.yml", "- {command: rm, vars: {a: !unsafe x}, check_mode: !y false}\n"),
        ("own/handlers/main.yml", "- vars: {a: &no {check_mode: false}}\n- <<: *no\n  command: rm\n"),
        ("own/handlers/main.yml", "- include_tasks: {file: x.yml, apply: {check_mode: false}}\n"),
        ("own/handlers/main.yml", "- {name: [unclosed\n"),
        ("own/handlers/main.yml", "- &a [*a]\n"),
        ("own/handlers/main", "- {command: rm, check_mode: false}\n"),
        ("own/files/t.txt", "- {command: rm, check_mode: false}\n"),
        ("own/files/t.txt", "{% raw %}\n- {command: rm, check_mode: false}\n"),
        ("own/more.json", '[{"command": "rm", "check_mode": false}]'),
        ("own/defaults/main.yaml", "a: [\n"),
        ("other/tasks/main.yml", READS),
        ("new/tasks/main.yml", READS),
        ("shared.yml", READS),
        ("own/tasks/main.yml", READS.replace("date", "rm")),
        ("own/tasks/guarded.yml", READS),
        ("own/tasks/guarded.yml", FILES["own/tasks/guarded.yml"].replace("rarely", "true")),
        ("own/tasks/odd.yml", "- name: Not for this reader.\n  b: [\n"),
    ],
)
def test_a_new_one_is_found_however_it_is_written_and_wherever_it_lies(
    file: str, text: str, head: Path, base: Path
) -> None:
    path = head / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    assert unbound(head, base) == (file,)


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("own/tasks/main.yml", READS + "- {name: More., command: rm, check_mode: true}\n"),
        ("own/tasks/main.yml", "- name: First.\n  debug:\n" + READS),
        ("own/tasks/main.yml", "[]\n"),
        ("own/files/picture", "\0\2"),
        ("own/templates/conf.j2", "{% if y %}\na = {{ b }}\n{% endif %}\n"),
        ("own/defaults/main.yml", "a: !unsafe b\nc: 2020-99-99\n"),
    ],
)
def test_what_check_mode_binds_is_no_reason(file: str, text: str, head: Path, base: Path) -> None:
    path = head / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    assert unbound(head, base) == ()


def test_a_link_is_one_whatever_is_behind_it(head: Path, base: Path, tmp_path: Path) -> None:
    for folder in (head, base):
        (folder / "own" / "tasks" / "more").symlink_to(tmp_path)
    assert unbound(head, base) == ("own/tasks/more",)


def test_aliases_of_aliases_end(head: Path, base: Path) -> None:
    lines = ["- &a0 [x, x]"] + [f"- &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    (head / "other" / "tasks" / "main.yml").write_text("\n".join(lines))
    assert unbound(head, base) == ("other/tasks/main.yml",)
