"""What would change inside a node, told from what goes into it: role files, pinned releases and variables.

Reads two folders of roles and nothing else: no network, no host.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import yaml

from stacks import role_files
from stacks.preview.model import Task
from stacks.runner import hider, strings
from stacks.task_changes import NOT_TEXT, cut, unified
from stacks.variables import Plan

ALL_ROLES = "all roles"
"""Stands for a role where variables differ, which all of a node's roles are given."""
RELEASES = "pinned releases"
"""What of a role's artifacts.yml counts where nobody names a release."""
_HIDDEN = "***"
_HIDDEN_OTHER = "*** (another value)"


class Compared(Protocol):
    """What a `stacks.preview.inside.Subject` says to this module."""

    @property
    def plan(self) -> Plan:
        """See `Subject`."""

    @property
    def role_names(self) -> tuple[str, ...]:
        """See `Subject`."""

    @property
    def inputs(self) -> Mapping[str, Any] | None:
        """See `Subject`."""

    @property
    def base(self) -> Plan | None:
        """See `Subject`."""

    @property
    def secret(self) -> frozenset[str]:
        """See `Subject`."""


@dataclass(frozen=True)
class Told:
    """The differences; `complete` where those of the role files are among them."""

    tasks: tuple[Task, ...]
    complete: bool
    reason: str = ""


def tell(subject: Compared, head: Path, base: Path | None, variables: Mapping[str, object]) -> Told:
    """Compare what is deployed (or what the base revision has, where nothing is) with what is to come."""
    hide = hider_of(subject)
    tasks = [*_variables(subject, variables)]
    deployed = (subject.inputs or {}).get("roles_digest")
    if deployed == subject.plan.roles_digest:
        return Told(tuple(tasks), complete=True)
    if base is None:
        return Told(tuple(tasks), complete=False, reason="the role files that are deployed are not known: name --base")
    names = subject.role_names
    tasks += _shared_checks(base, head, hide)
    tasks += [task for name in names for task in role_differences(name, base / name, head / name, hide)]
    if deployed is None or role_files.digest((n for n in names if (base / n).is_dir()), base) == deployed:
        return Told(tuple(tasks), complete=True)
    return Told(
        tuple(tasks), complete=True, reason="the role files that are deployed are not those of the base revision"
    )


def role_differences(role: str, base: Path, head: Path, hide: Callable[[str], str]) -> Iterator[Task]:
    """Pinned releases first, then one entry for each file that differs."""
    releases = unified(_releases(base), _releases(head), f"{role}/artifacts.yml")
    if releases:
        yield Task(role, RELEASES, cut(hide(releases)))
    before, after = _files(base), _files(head)
    for name in sorted(before.keys() | after.keys()):
        old, new = before.get(name), after.get(name)
        if old != new:
            yield Task(role, name, _file(f"{role}/{name}", old, new, hide))


def _shared_checks(base: Path, head: Path, hide: Callable[[str], str]) -> Iterator[Task]:
    """What the checks of all roles share belongs to every node's digest too."""
    old, new = (_content(folder / "conftest.py") for folder in (base, head))
    if old != new:
        yield Task("checks", "conftest.py", _file("conftest.py", old, new, hide))


def secret_names(subject: Compared) -> frozenset[str]:
    """Names of the variables whose values nobody may see."""
    return subject.secret | frozenset((subject.inputs or {}).get("secret_variables") or ())


def hider_of(subject: Compared) -> Callable[[str], str]:
    """What blots out the values that these variables have, had, or have in the base revision."""
    everywhere = (subject.plan.variables, _before(subject) or {})
    names = secret_names(subject)
    return hider(text for variables in everywhere for name in names for text in strings(variables.get(name)))


def _before(subject: Compared) -> Mapping[str, object] | None:
    if subject.inputs is not None:
        variables: Mapping[str, object] = subject.inputs["variables"]
        return variables
    return subject.base.variables if subject.base else None


def _variables(subject: Compared, variables: Mapping[str, object]) -> Iterator[Task]:
    before = _before(subject)
    if before is None:
        return
    if subject.inputs is None:  # without a state no volume has an identifier
        variables = {name: value for name, value in variables.items() if name != "stakeyard_volumes"}
    names, hide = secret_names(subject), hider_of(subject)
    old = {name: _HIDDEN if name in names else value for name, value in before.items()}
    new = {
        name: (_HIDDEN if before.get(name, value) == value else _HIDDEN_OTHER) if name in names else value
        for name, value in variables.items()
    }
    diff = unified(hide(_dump(old)), hide(_dump(new)), f"variables of {subject.plan.name}")
    if diff:
        yield Task(ALL_ROLES, "variables", cut(diff))


def _dump(value: object) -> str:
    return yaml.safe_dump(_plain(value), sort_keys=True, allow_unicode=True, width=10_000)


def _plain(value: object) -> object:
    """The same with lists and mappings that YAML knows, and numbers as JSON has them."""
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def _releases(role: Path) -> str:
    """The releases that a role takes where nobody names another, one a line."""
    path = role / "artifacts.yml"
    if not path.is_file():
        return ""
    try:
        found = yaml.safe_load(path.read_text())
    except (OSError, ValueError, yaml.YAMLError):
        return ""
    defaults = found.get("default") if isinstance(found, dict) else None
    return _dump(defaults) if isinstance(defaults, dict) else ""


def _files(role: Path) -> dict[str, tuple[bool, bytes]]:
    """Each file by its path in the role."""
    own = (path for path in role_files.files([role.name], role.parent) if path.is_relative_to(role))
    return {str(path.relative_to(role)): content for path in own if (content := _content(path))}


def _content(path: Path) -> tuple[bool, bytes] | None:
    """Whether a file is executable, and what is in it; None where there is none."""
    return (bool(path.stat().st_mode & 0o100), path.read_bytes()) if path.is_file() else None


def _file(name: str, old: tuple[bool, bytes] | None, new: tuple[bool, bytes] | None, hide: Callable[[str], str]) -> str:
    before, after = old or (False, b""), new or (False, b"")
    lines = []
    if old and new and before[0] != after[0]:
        lines.append("now executable" if after[0] else "no longer executable")
    if before[1] != after[1]:
        texts = [_text(content) for _executable, content in (before, after)]
        lines.append(NOT_TEXT if None in texts else unified(hide(texts[0] or ""), hide(texts[1] or ""), name))
    return cut("\n".join(lines))


def _text(content: bytes) -> str | None:
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text
