"""The roles that a role imports. Ways to other roles and files that this would not see are refused.

A node's digest and its previews are made of the files of these roles: what Ansible could read without being found here
could change without anybody being shown.
"""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stacks.errors import StakeyardError
from stacks.fleet_text import shown
from stacks.fleet_yaml import read_yaml
from stacks.role_files import SKIPPED

_ROLES = ("import_role", "include_role")
_FILES = ("import_tasks", "include_tasks")
_TASKS = ("tasks", "handlers")
READ_AS_TASKS = (*_TASKS, "meta")
"""The folders of a role in which Ansible looks for tasks, or for other roles."""
BLOCKS = ("block", "rescue", "always")
_FROM = ("tasks_from", "handlers_from", "vars_from", "defaults_from")
_WORD = re.compile(r"[\w-]+")
_BESIDE = re.compile(r"(?:[\w.-]|\{\{ *[A-Za-z_]\w* *\}\})+\.yml")
"""A file in the same folder; a variable may be a part of its name."""


@dataclass(frozen=True)
class Import:
    """One role that another imports, and the variables that it is given there."""

    role: str
    given: frozenset[str]


def roles_used(directory: Path, names: Iterable[str]) -> tuple[tuple[str, ...], frozenset[str]]:
    """`names` and every role that these import, each once; and the variables that importing roles set themselves.

    Raises StakeyardError naming the file and the task where something is imported in a way that is not followed.
    """
    found: list[str] = list(names)
    given: set[str] = set()
    for name in found:
        _refuse_dependencies(directory / name / "meta" / "main.yml")
        for imported in _imports(directory / name):
            given |= imported.given
            if imported.role not in found:
                found.append(imported.role)
    return tuple(found), frozenset(given)


def refuse_hidden(directory: Path) -> None:
    """Raises StakeyardError for a link below the folder of roles, and for tasks in a file that is not named `.yml`."""
    for folder, folders, files in os.walk(directory):
        folders[:] = sorted(set(folders) - SKIPPED)
        for path in (Path(folder, name) for name in (*folders, *sorted(files))):
            if path.is_symlink():
                raise StakeyardError(f"{path}: is a symbolic link, which no digest follows; put a copy in its place.")
        inside = Path(folder).relative_to(directory).parts[1:2]
        for name in files if inside and inside[0] in READ_AS_TASKS else ():
            # An editor's own files are hidden, or end with a tilde; Ansible reads neither.
            if not name.endswith((".yml", "~")) and not name.startswith("."):
                raise StakeyardError(f"{Path(folder, name)}: is not named .yml; rename it, or move it to files.")


def _refuse_dependencies(path: Path) -> None:
    meta = read_yaml(path, role=True) if path.is_file() else None
    if isinstance(meta, dict) and meta.get("dependencies"):
        raise StakeyardError(f"{path}: dependencies: are not followed; import the role in a task instead.")


def _imports(role: Path) -> Iterator[Import]:
    for folder in _TASKS:
        for path in sorted((role / folder).glob("**/*.yml")):
            for task, forced in _tasks(read_yaml(path, role=True)):
                for key, value in task.items():
                    problem = _problem(str(key), value, task, forced, path) or _role_problem(key, value, role.parent)
                    if problem:
                        raise StakeyardError(f"{path}: task {shown(task.get('name'))}: {problem}")
                    if _module(key) in _ROLES:
                        variables = task.get("vars")
                        yield Import(value["name"], frozenset(variables if isinstance(variables, dict) else ()))


def _tasks(tasks: object, forced: bool = False) -> Iterator[tuple[dict[Any, Any], bool]]:
    """Each task, and whether it or a block around it says something of check mode."""
    for task in tasks if isinstance(tasks, list) else ():
        if isinstance(task, dict):
            own = forced or task.get("check_mode", True) is not True
            yield task, own
            for key in BLOCKS:
                yield from _tasks(task.get(key), own)


def _module(key: object) -> str:
    return str(key).rpartition(".")[2]


def _problem(key: str, value: object, task: Mapping[Any, Any], forced: bool, path: Path) -> str | None:
    """Why what a task imports cannot be followed, with what to do."""
    module = _module(key)
    if key in ("action", "local_action"):
        return f"{key}: is not followed; write the module's name as the key."
    if module not in (*_ROLES, *_FILES):
        return None
    if "args" in task:
        return f"args: are not followed; write them under {module}."
    if forced or (isinstance(value, dict) and "check_mode" in str(value.get("apply"))):
        # It would hold for tasks that come later, in another file.
        return "check_mode: holds for whatever is imported; set it in the tasks themselves."
    return _file_problem(module, value, path.parent) if module in _FILES else None


def _role_problem(key: object, value: object, roles: Path) -> str | None:
    module = _module(key)
    if module not in _ROLES:
        return None
    told = value if isinstance(value, dict) else {}
    name = told.get("name")
    if not isinstance(name, str) or not _WORD.fullmatch(name) or not (roles / name).is_dir():
        return f"{module}.name: must be one of the roles beside this one; write its name in plain text."
    for option in _FROM:
        if option in told and not _WORD.fullmatch(str(told[option]).removesuffix(".yml")):
            return f"{module}.{option}: must be a file of that role; write its name in plain text."
    return None


def _file_problem(module: str, value: object, folder: Path) -> str | None:
    name = value.get("file") if isinstance(value, dict) else value
    if not isinstance(name, str) or not _BESIDE.fullmatch(name):
        return f"{module}: must name a file in the same folder that ends in .yml; put the tasks there."
    # Ansible would go on looking for it in other folders.
    if "{{" not in name and not (folder / name).is_file():
        return f"{module}: there is no file {shown(name)} in the same folder; correct the name."
    return None
