"""Run Ansible roles on one host: the only place that knows ansible-runner.

The run's private data (inventory with all variables, events, facts) lives on tmpfs and is always removed.
Variables travel in the inventory file there, never in an argument list.
"""

import os
import sys
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import ansible_runner  # type: ignore[import-untyped]

from stacks import role_files
from stacks.cancellation import cancelled
from stacks.errors import StakeyardError
from stacks.paths import REPOSITORY
from stacks.ssh import Host, Session, session
from stacks.task_changes import TaskChange, of_result
from stacks.text import last_line

TIMEOUT_SECONDS = 3 * 3600
LONGEST_MESSAGE = 400
# Settings of Ansible, and of ansible-runner's own part of it.
SETTINGS = ("ANSIBLE_", "_ANSIBLE_", "AWX_", "AD_HOC_COMMAND_ID", "ORIGINAL_STDOUT_CALLBACK")
_FORGETTING = threading.Lock()


@dataclass(frozen=True)
class RunResult:
    """What a run did: how many tasks it started and how many of them changed the host."""

    tasks: int
    changed: int


@dataclass
class Watch:
    """Turns ansible-runner's events into progress lines and, at the end, the reason of a failure."""

    host: str
    total: int
    progress: Callable[[str], None]
    hide: Callable[[str], str]
    found: Callable[[TaskChange], None] | None = None
    started: int = 0
    changed: int = 0
    failure: str = ""
    problems: list[str] = field(default_factory=list)
    hidden: object = None
    """The last task that hides its output and was told."""

    def event(self, event: Mapping[str, Any]) -> bool:
        """ansible-runner's event handler; True keeps the event for ansible-runner's own use."""
        data = event.get("event_data") or {}
        role, task = data.get("role") or "host", data.get("task") or data.get("name") or ""
        match event.get("event"):
            case "playbook_on_task_start":
                self.started += 1
                total = max(self.total, self.started)
                # Ansible's own first task of a role with an argument specification has a whole sentence for a name.
                name = "Check the variables" if task.startswith("Validating arguments") else task.rstrip(".")
                self.progress(self.hide(f"{role}: task {self.started}/{total}: {name}"))
            case "playbook_on_handler_task_start":
                self.progress(self.hide(f"{role}: handler: {task.rstrip('.')}"))
            case "runner_on_ok" | "runner_item_on_ok" if self.found:
                self._tell(event, TaskChange(role, self.hide(task.rstrip("."))))
            case "runner_on_failed" if not data.get("ignore_errors"):
                reason = why(data.get("res") or {})
                self.failure = self.hide(f"{self.host}: role {role}, task {task.rstrip('.')!r}: {reason}")
            case "runner_on_unreachable":
                reason = why(data.get("res") or {})
                self.failure = self.hide(f"{self.host}: role {role}, task {task.rstrip('.')!r}: unreachable: {reason}")
            case "playbook_on_stats":
                self.changed = sum((data.get("changed") or {}).values())
            case _:
                text = str(event.get("stdout") or "")
                self.problems += [line for line in text.splitlines() if "ERROR" in line or line.startswith("fatal")]
        return True

    def _tell(self, event: Mapping[str, Any], change: TaskChange) -> None:
        """Hand on what a task changes, once; of one that hides its output only `changed` is known."""
        data = event["event_data"]
        result = data.get("res") or {}
        if result.get("censored"):
            changed = str(event.get("stdout") or "").startswith("changed") and data.get("task_uuid") != self.hidden
            self.hidden = data.get("task_uuid")
        else:
            # A loop tells of its items again at its end.
            changed = bool(result.get("changed")) and event["event"] == "runner_on_ok"
            change = replace(change, diff=of_result(result, self.hide)) if changed else change
        if changed and self.found:
            self.found(change)


def why(result: Mapping[str, Any]) -> str:
    """One line that says why a task failed, from its result."""
    if result.get("censored"):
        return "the reason is hidden because the task handles secrets"
    for item in result.get("results") or []:
        if isinstance(item, Mapping) and (item.get("failed") or item.get("unreachable")):
            label = item.get("_ansible_item_label", item.get("item"))
            return f"{why(item)} (item {label})"
    message = _one_line(str(result.get("msg") or ""))
    if message.lower().startswith(("non-zero return code", "module failure")) or not message:
        output = str(result.get("stderr") or result.get("module_stderr") or result.get("stdout") or "")
        line = last_line(output, "")
        message = f"{message or 'failed'}: {line}" if line else message or "it gave no reason"
    return message[:LONGEST_MESSAGE]


def _one_line(text: str) -> str:
    return " ".join(text.split())


def hider(secrets: Iterable[str]) -> Callable[[str], str]:
    """A function that blots these values out of a text, and each line of those that have several, as in a diff.

    Values under four characters would blot out words.
    """
    parts = (part for value in secrets for part in (value, *(line.strip() for line in value.splitlines())))
    values = sorted({part for part in parts if len(part) >= 4}, key=len, reverse=True)

    def hide(text: str) -> str:
        for value in values:
            text = text.replace(value, "***")
        return text

    return hide


def strings(value: object) -> Iterable[str]:
    """All strings inside a value, however deep."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from strings(inner)
    elif isinstance(value, Sequence):
        for inner in value:
            yield from strings(inner)


def converge(
    host: Host,
    roles: Sequence[str],
    variables: Mapping[str, object],
    progress: Callable[[str], None],
    *,
    entry: str = "main",
    check: bool = False,
    secret: Iterable[str] = (),
    opened: Session | None = None,
    directory: Path = REPOSITORY / "roles",
    found: Callable[[TaskChange], None] | None = None,
    timeout: int = TIMEOUT_SECONDS,
) -> RunResult:
    """Apply `roles` in order to `host`; `check` only tells what would change.

    `found` is told each task that changes the host, with a diff, as it comes: also those before a failure.

    `entry` is the file of tasks that each role begins with, such as `retire`.
    `secret` names the variables whose values may appear in no message. `opened` is an SSH session to use.
    Raises StakeyardError with host, role, task and message when a task fails.
    """
    forget_operators_settings()
    with ExitStack() as stack:
        used = opened or stack.enter_context(session([host]))
        private = used.directory / f"run-{host.name}"
        private.mkdir(mode=0o700)
        (private / "ansible.cfg").touch()
        watch = Watch(
            host=host.name,
            total=1 + role_files.count_tasks(roles, directory, entry),
            progress=progress,
            hide=hider(s for name in secret for s in strings(variables.get(name))),
            found=found,
        )
        options = [*(["--check"] if check else []), *(["--diff"] if found else [])]
        run = ansible_runner.run(
            private_data_dir=str(private),
            playbook=[play(host, roles, entry)],
            inventory={"all": {"hosts": {host.name: {**untemplated(variables), **connection(host)}}}},
            envvars=environment(private, used.config, directory),
            cmdline=" ".join(options) or None,
            event_handler=watch.event,
            timeout=timeout,
            quiet=True,
            ignore_logging=True,
            suppress_env_files=True,
            cancel_callback=cancelled,
        )
    if run.status == "timeout":
        raise StakeyardError(f"{host.name}: Ansible was stopped after {timeout / 3600:g} hours.")
    if run.rc != 0:
        problem = watch.hide(_one_line(" ".join(watch.problems[-3:])))[:LONGEST_MESSAGE]
        raise StakeyardError(
            watch.failure or f"{host.name}: Ansible stopped with status {run.rc}: {problem or run.status}"
        )
    return RunResult(tasks=watch.started, changed=watch.changed)


def untemplated(variables: Mapping[str, object]) -> dict[str, object]:
    """Variables whose texts Ansible takes as they are.

    It would run those of an inventory as templates on this machine, and they come from stack files, from the state and
    from other hosts. `__ansible_unsafe` is how Ansible's JSON says that a text is none.
    """
    return {name: _untemplated(value) for name, value in variables.items()}


def _untemplated(value: object) -> object:
    if isinstance(value, str):
        return {"__ansible_unsafe": value}
    if isinstance(value, Mapping):
        return {key: _untemplated(inner) for key, inner in value.items()}
    return [_untemplated(inner) for inner in value] if isinstance(value, list | tuple) else value


def forget_operators_settings() -> None:
    """Take what the operator's shell tells Ansible out of this process' environment: ansible-runner hands all of it on.

    A single setting there could turn host key checking off, log secrets to a disk, or leave tasks out. A process with
    several threads does it before it starts them.
    """
    with _FORGETTING:
        for name in [name for name in os.environ if name.startswith(SETTINGS)]:
            del os.environ[name]


def play(host: Host, roles: Sequence[str], entry: str = "main") -> dict[str, object]:
    """The play: facts that roles size themselves by, then the roles."""
    if entry == "main":
        work: dict[str, object] = {"roles": [{"role": role} for role in roles]}
    else:
        work = {"tasks": [{"import_role": {"name": role, "tasks_from": entry}} for role in roles]}
    return {
        "name": f"Converge {host.name}",
        "hosts": "all",
        "become": host.become,
        "gather_facts": True,
        "gather_subset": ["!all", "min", "hardware"],
        **work,
    }


def connection(host: Host) -> dict[str, object]:
    """Inventory variables that say how to reach the host; the SSH configuration knows the rest."""
    local = host.connection == "local"
    return {
        "ansible_connection": host.connection,
        "ansible_python_interpreter": sys.executable if local else "/usr/bin/python3",
    }


def environment(private: Path, ssh_config: Path, directory: Path) -> dict[str, str]:
    """All of Ansible's settings: an ansible.cfg of the operator is not looked for, as there is an (empty) one."""
    ours = Path(sys.executable).parent
    return {
        "PATH": os.pathsep.join([str(ours), os.environ.get("PATH", os.defpath)]),
        "ANSIBLE_CONFIG": str(private / "ansible.cfg"),
        "ANSIBLE_HOME": str(private / "home"),
        "ANSIBLE_LOCAL_TEMP": str(private / "tmp"),
        "ANSIBLE_ROLES_PATH": str(directory),
        "ANSIBLE_SSH_ARGS": f"-F {ssh_config}",
        "ANSIBLE_PIPELINING": "true",
        "ANSIBLE_HOST_KEY_CHECKING": "true",
        "ANSIBLE_RETRY_FILES_ENABLED": "false",
        "ANSIBLE_NOCOLOR": "true",
        "ANSIBLE_DEPRECATION_WARNINGS": "false",
        "ANSIBLE_LOCALHOST_WARNING": "false",
        "LC_ALL": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
