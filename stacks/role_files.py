"""What can be known of roles without running them: a digest of their files, and how many tasks they have."""

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

import yaml

SKIPPED = {"__pycache__", ".pytest_cache"}
_STATIC = ("import_role", "import_tasks")
_ELSEWHERE = re.compile(r"\.\./([\w-]+(?:/[\w-][\w.-]*)+)")
"""How a role names a file or a folder of another role, such as `../ethereum_beacon/networks.yml`."""


def digest(roles: Iterable[str], directory: Path) -> str:
    """SHA-256 over the files of `roles` in `directory` and its conftest.py: names, execute bits and contents.

    It changes when, and only when, a file changes that a node made of these roles uses.
    """
    total = hashlib.sha256()
    for path in files(sorted(set(roles)), directory):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        executable = bool(path.stat().st_mode & 0o100)
        total.update(f"{path.relative_to(directory)}\0{executable}\0{content}\n".encode())
    return total.hexdigest()


def files(roles: Iterable[str], directory: Path) -> Iterable[Path]:
    """The files that the digest is made of: each of these roles, and those of other roles that its YAML names."""
    found: dict[Path, None] = {}
    conftest = directory / "conftest.py"
    if conftest.exists():
        found[conftest] = None
    for role in roles:
        own = _below(directory / role)
        texts = (path.read_text(errors="replace") for path in own if path.suffix == ".yml")
        named = (directory / name for text in texts for name in _ELSEWHERE.findall(text))
        found |= dict.fromkeys([*own, *(path for place in named for path in _below(place))])
    return found


def _below(place: Path) -> list[Path]:
    """A file, or all that are in a folder."""
    paths = [place] if place.is_file() else sorted(place.rglob("*"))
    return [path for path in paths if path.is_file() and not SKIPPED & set(path.parts)]


def count_tasks(roles: Iterable[str], directory: Path, entry: str = "main") -> int:
    """How many tasks a play of these roles starts, fact gathering apart; exact for static imports, else an estimate."""
    return sum(_role_tasks(directory / role, entry) for role in roles)


def with_entry(roles: Iterable[str], directory: Path, entry: str) -> list[str]:
    """Those of `roles` that have tasks of this name, such as `retire`."""
    return [role for role in roles if (directory / role / "tasks" / f"{entry}.yml").is_file()]


def _role_tasks(role: Path, entry: str) -> int:
    validation = 1 if entry in _entry_points(role) else 0
    return validation + _file_tasks(role, role / "tasks" / f"{entry.removesuffix('.yml')}.yml")


def _entry_points(role: Path) -> set[str]:
    specs = _read(role / "meta" / "argument_specs.yml")
    found = specs.get("argument_specs") if isinstance(specs, dict) else None
    return set(found) if isinstance(found, dict) else set()


def _file_tasks(role: Path, path: Path) -> int:
    tasks = _read(path)
    return _count(role, path, tasks) if isinstance(tasks, list) else 0


def _count(role: Path, path: Path, tasks: Iterable[object]) -> int:
    return sum(_one(role, path, task) for task in tasks if isinstance(task, dict))


def _one(role: Path, path: Path, task: dict[str, object]) -> int:
    if "block" in task:
        # `rescue` runs only when something failed.
        parts = [task.get("block"), task.get("always")]
        return sum(_count(role, path, part) for part in parts if isinstance(part, list))
    for key, value in task.items():
        module = str(key).rpartition(".")[2]
        if module not in _STATIC:
            continue
        if module == "import_tasks":
            name = value.get("file") if isinstance(value, dict) else value
            return _file_tasks(role, path.parent / str(name))
        if isinstance(value, dict):
            return _role_tasks(role.parent / str(value.get("name")), str(value.get("tasks_from", "main")))
    return 1


def _read(path: Path) -> object:
    return yaml.safe_load(path.read_text()) if path.is_file() else None
