"""Ansible runs on this very machine (connection local): progress, one-sentence failures, and nothing left behind."""

import json
import os
from pathlib import Path

import pytest

from stacks import role_files, ssh
from stacks.errors import StakeyardError
from stacks.runner import converge, hider, why
from stacks.ssh import Host
from stacks.task_changes import TaskChange

HERE = Host("here", "127.0.0.1", "", "root", "/nonexistent", connection="local", become=False)


@pytest.fixture
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stands for /dev/shm, so that a test can see that nothing stays there."""
    directory = tmp_path / "memory"
    directory.mkdir()
    monkeypatch.setattr(ssh, "TMPFS", directory)
    monkeypatch.setattr(ssh, "is_tmpfs", lambda _path, _mounts: True)
    return directory


def role(directory: Path, name: str, tasks: str, specs: str = "") -> None:
    (directory / name / "tasks").mkdir(parents=True)
    (directory / name / "tasks" / "main.yml").write_text(tasks)
    if specs:
        (directory / name / "meta").mkdir()
        (directory / name / "meta" / "argument_specs.yml").write_text(specs)


def test_a_run_reports_each_task_with_its_number_and_leaves_nothing(tmp_path: Path, memory: Path) -> None:
    roles = tmp_path / "roles"
    role(
        roles,
        "first",
        "- name: Say one.\n  ansible.builtin.debug: {msg: one}\n- ansible.builtin.import_tasks: more.yml\n",
        "argument_specs: {main: {options: {first_word: {type: str, required: true}}}}\n",
    )
    (roles / "first" / "tasks" / "more.yml").write_text("- name: Say two.\n  ansible.builtin.debug: {msg: two}\n")
    target = tmp_path / "made"
    role(
        roles,
        "second",
        f"- name: Write.\n  ansible.builtin.copy: {{content: '{{{{ first_word }}}}', dest: {target}}}\n",
    )
    lines: list[str] = []

    result = converge(HERE, ["first", "second"], {"first_word": "yes!"}, lines.append, directory=roles)

    assert target.read_text() == "yes!"
    assert (result.tasks, result.changed) == (5, 1)
    assert lines[2:] == ["first: task 3/5: Say one", "first: task 4/5: Say two", "second: task 5/5: Write"]
    assert list(memory.iterdir()) == []
    again = converge(HERE, ["first", "second"], {"first_word": "yes!"}, lines.append, directory=roles)
    assert again.changed == 0


def test_a_run_may_begin_with_other_tasks_of_a_role(tmp_path: Path, memory: Path) -> None:
    roles, gone = tmp_path / "roles", tmp_path / "here"
    gone.touch()
    role(roles, "first", "- name: Fail.\n  ansible.builtin.fail: {msg: not this one}\n")
    role(roles, "second", "[]\n")
    (roles / "first" / "tasks" / "retire.yml").write_text(
        f"- name: Take away.\n  ansible.builtin.file: {{path: '{gone}', state: absent}}\n"
    )
    assert role_files.with_entry(["first", "second"], roles, "retire") == ["first"]
    result = converge(HERE, ["first"], {}, lambda _line: None, entry="retire", directory=roles)
    assert result.changed == 1
    assert not gone.exists()


THEIRS = {
    "ANSIBLE_SSH_COMMON_ARGS": "-o StrictHostKeyChecking=no",
    "ANSIBLE_SSH_EXTRA_ARGS": "-o UserKnownHostsFile=/dev/null",
    "ANSIBLE_KEEP_REMOTE_FILES": "true",
    "ANSIBLE_RUN_TAGS": "none",
    "ANSIBLE_SKIP_TAGS": "all",
    "ANSIBLE_CHECK_MODE_MARKERS": "true",
    "ANSIBLE_CALLBACK_PLUGINS": "/nowhere",
    "AWX_LIB_DIRECTORY": "/nowhere",
}


def test_nothing_that_the_operators_shell_tells_ansible_reaches_a_run(
    tmp_path: Path, memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, seen = tmp_path / "log", tmp_path / "seen"
    for name, value in {**THEIRS, "ANSIBLE_LOG_PATH": str(log), "HOME": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    for place in (tmp_path / ".ansible.cfg", tmp_path / "ansible.cfg"):
        place.write_text(f"[defaults]\nlog_path = {log}\n")
    monkeypatch.chdir(tmp_path)
    role(tmp_path, "look", f"- name: Look.\n  ansible.builtin.shell: env >{seen}\n")
    assert converge(HERE, ["look"], {}, lambda _: None, directory=tmp_path).changed == 1
    there = dict(line.split("=", 1) for line in seen.read_text().splitlines() if "=" in line)
    assert [name for name, value in THEIRS.items() if value in there.get(name, "")] == []
    assert not log.exists()


def test_a_failed_task_is_one_sentence_with_host_role_task_and_message(tmp_path: Path, memory: Path) -> None:
    role(tmp_path, "bad", "- name: Refuse.\n  ansible.builtin.fail: {msg: 'the moon {{ word }} is wrong'}\n")
    with pytest.raises(StakeyardError) as caught:
        converge(HERE, ["bad"], {"word": "s3cret-word"}, lambda _: None, secret=["word"], directory=tmp_path)
    assert str(caught.value) == "here: role bad, task 'Refuse': the moon *** is wrong"
    assert list(memory.iterdir()) == []


def test_a_task_that_hides_its_output_stays_hidden(tmp_path: Path, memory: Path) -> None:
    role(tmp_path, "bad", "- name: Log in.\n  ansible.builtin.fail: {msg: hunter2}\n  no_log: true\n")
    with pytest.raises(StakeyardError, match="handles secrets") as caught:
        converge(HERE, ["bad"], {}, lambda _: None, directory=tmp_path)
    assert "hunter2" not in str(caught.value)


def test_variables_reach_no_argument_list(tmp_path: Path, memory: Path) -> None:
    role(tmp_path, "look", "- name: Look.\n  ansible.builtin.command: ps -eo args\n  register: seen\n"
         "- name: Judge.\n  ansible.builtin.assert: {that: \"'in-no-' ~ 'argv' not in seen.stdout\"}\n")  # fmt: skip
    assert converge(HERE, ["look"], {"word": "in-no-argv"}, lambda _: None, directory=tmp_path).tasks == 3


def test_no_variable_is_run_as_a_template(tmp_path: Path, memory: Path) -> None:
    made, told = tmp_path / "made", tmp_path / "told"
    tasks = (
        "- name: Check.\n  ansible.builtin.assert: {that: [number == 1, flag, words | length == 2]}\n"
        f"- name: Tell.\n  ansible.builtin.copy: {{content: '{{{{ [word, words, deep] | to_json }}}}', dest: {told}}}\n"
    )
    role(tmp_path, "tell", tasks)
    text = f"{{{{ lookup('ansible.builtin.pipe', 'touch {made}; echo run') }}}}"
    given = {"word": text, "words": (text, "{# no comment #}"), "deep": {"a": [{"b": text}]}, "number": 1, "flag": True}
    converge(HERE, ["tell"], given, lambda _: None, directory=tmp_path)
    assert json.loads(told.read_text()) == [text, [text, "{# no comment #}"], {"a": [{"b": text}]}]
    assert not made.exists()


def test_a_role_that_does_not_parse_is_a_sentence_too(tmp_path: Path, memory: Path) -> None:
    role(tmp_path, "broken", "- name: Nothing.\n  no.such.module: {}\n")
    with pytest.raises(StakeyardError, match=r"^here: .*no\.such\.module"):
        converge(HERE, ["broken"], {}, lambda _: None, directory=tmp_path)
    assert list(memory.iterdir()) == []


def test_the_reason_of_a_failed_command_is_its_last_line() -> None:
    assert why({"msg": "non-zero return code", "stderr": "a\n\nno space\n"}) == "non-zero return code: no space"
    results = [{"ok": 1}, {"failed": True, "msg": "no", "item": "x"}]
    assert why({"msg": "One or more items failed", "results": results}) == "no (item x)"
    assert why({}) == "it gave no reason"


def test_long_secrets_are_hidden_before_their_parts() -> None:
    assert hider(["abcd", "abcdef", "x"])("see abcdef x abcd") == "see *** x ***"


def test_memory_that_is_a_disk_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssh, "is_tmpfs", lambda _path, _mounts: False)
    with pytest.raises(StakeyardError, match="not a tmpfs"):
        converge(HERE, [], {}, lambda _: None)


def test_the_last_mount_decides_what_a_tmpfs_is() -> None:
    assert ssh.is_tmpfs(Path("/dev/shm"), "shm /dev/shm tmpfs rw 0 0\n")
    assert not ssh.is_tmpfs(Path("/dev/shm"), "/dev/sda1 / ext4 rw 0 0\nx /dev/shm ext4 rw 0 0\n")


def test_the_digest_sees_its_own_roles_and_no_other(tmp_path: Path) -> None:
    role(tmp_path, "mine", "- name: A.\n  ansible.builtin.meta: noop\n")
    role(tmp_path, "other", "- name: B.\n  ansible.builtin.meta: noop\n")
    before = role_files.digest(["mine"], tmp_path)
    (tmp_path / "other" / "tasks" / "main.yml").write_text("[]\n")
    (tmp_path / "mine" / "__pycache__").mkdir()
    (tmp_path / "mine" / "__pycache__" / "x.pyc").write_text("noise")
    assert role_files.digest(["mine"], tmp_path) == before
    (tmp_path / "conftest.py").write_text("# shared\n")
    with_conftest = role_files.digest(["mine"], tmp_path)
    assert with_conftest != before
    (tmp_path / "mine" / "tasks" / "main.yml").chmod(0o755)
    executable = role_files.digest(["mine"], tmp_path)
    assert executable != with_conftest
    (tmp_path / "mine" / "tasks" / "main.yml").write_text("[]\n")
    assert role_files.digest(["mine"], tmp_path) != executable


def test_the_digest_sees_what_a_role_reads_of_another_and_nothing_else_of_it(tmp_path: Path) -> None:
    role(tmp_path, "mine", "[]\n")
    role(tmp_path, "other", "[]\n")
    (tmp_path / "mine" / "vars.yml").write_text(
        "a: \"{{ lookup('file', here ~ '/../other/shared.yml') }}\"\nb: ../other/source\n"
    )
    for name in ("other/shared.yml", "other/source/a", "other/own.yml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("1\n")
    before = role_files.digest(["mine"], tmp_path)
    (tmp_path / "other" / "own.yml").write_text("2\n")
    assert role_files.digest(["mine"], tmp_path) == before
    for name in ("other/shared.yml", "other/source/a"):
        (tmp_path / name).write_text("2\n")
        assert role_files.digest(["mine"], tmp_path) != before
        before = role_files.digest(["mine"], tmp_path)


def test_directories_of_killed_processes_are_swept_and_those_of_living_ones_stay(tmp_path: Path) -> None:
    alive, dead = tmp_path / f"stakeyard-{os.getpid()}-a", tmp_path / "stakeyard-999999999-b"
    alive.mkdir()
    dead.mkdir()
    assert ssh.left_behind(tmp_path) == [dead]


SHOWN = """
- name: Write {{ word }}.
  ansible.builtin.copy: {content: "first\\nword={{ word }}\\n", dest: "{{ place }}/file", mode: "0644"}
- name: Write some.
  ansible.builtin.copy: {content: "{{ item }}\\n", dest: "{{ place }}/{{ item }}", mode: "0644"}
  loop: [one, two]
- name: Write a secret.
  ansible.builtin.copy: {content: "hunter2\\n", dest: "{{ place }}/hidden", mode: "0644"}
  no_log: true
- name: Write two secrets.
  ansible.builtin.copy: {content: "hunter{{ item }}\\n", dest: "{{ place }}/hidden{{ item }}", mode: "0644"}
  no_log: true
  loop: [3, 4]
- name: Write nothing.
  ansible.builtin.file: {path: "{{ place }}", state: directory}
- name: Refuse.
  ansible.builtin.fail: {msg: no}
  when: refuse | bool
"""


def test_check_mode_tells_what_would_change_and_writes_nothing(tmp_path: Path, memory: Path) -> None:
    roles, place = tmp_path / "roles", tmp_path / "place"
    place.mkdir()
    (place / "file").write_text("first\nword=before\n")
    (place / "one").write_text("one\n")
    role(roles, "look", SHOWN)
    found: list[TaskChange] = []

    def look(refuse: bool) -> None:
        given = {"word": "s3cret-word", "place": str(place), "refuse": refuse}
        converge(
            HERE, ["look"], given, lambda _: None, check=True, secret=["word"], directory=roles, found=found.append
        )

    look(refuse=False)
    assert [(change.role, change.task) for change in found] == [
        ("look", "Write ***"),
        ("look", "Write some"),
        ("look", "Write a secret"),
        ("look", "Write two secrets"),
    ]
    path = place / "file"
    assert found[0].diff == f"--- {path}\n+++ {path}\n@@ -1,2 +1,2 @@\n first\n-word=before\n+word=***"
    assert f"+++ {place}/two" in found[1].diff
    assert f"+++ {place}/one" not in found[1].diff
    assert [change.diff for change in found[2:]] == ["", ""]
    assert sorted(path.name for path in place.iterdir()) == ["file", "one"]
    assert path.read_text() == "first\nword=before\n"
    # What was found before a failure is told all the same.
    seen, found = found, []
    with pytest.raises(StakeyardError, match="Refuse"):
        look(refuse=True)
    assert found == seen
    assert list(memory.iterdir()) == []
