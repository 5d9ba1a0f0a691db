"""Tasks that Ansible's check mode does not bind: a change may not slip one onto a host before it has been reviewed."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import yaml

_FORCED = "check_mode"


def unbound(head: Path, base: Path | None, roles: Iterable[str]) -> tuple[str, ...]:
    """The files of `roles` under `head` with such a task that is not, word for word, in the same file under `base`.

    Without a base there is nothing to compare with: the files are those of the operator who runs the command.
    """
    if base is None:
        return ()
    return tuple(
        str(path.relative_to(head))
        for role in sorted(set(roles))
        for path in _task_files(head / role)
        if not set(_forced(path)) <= set(_forced(base / path.relative_to(head)))
    )


def _task_files(role: Path) -> Iterator[Path]:
    for folder in ("tasks", "handlers", "meta"):
        for pattern in ("*.yml", "*.yaml"):
            yield from sorted((role / folder).rglob(pattern))


def _forced(path: Path) -> Iterator[str]:
    """Each task of the file that sets `check_mode` to anything but a plain `true`, in one canonical form."""
    if not path.is_file():
        return
    try:
        found = yaml.safe_load(path.read_text())
    except (ValueError, yaml.YAMLError):
        yield "unreadable"
        return
    yield from _inside(found)


def _inside(value: object) -> Iterator[str]:
    if isinstance(value, Mapping):
        if value.get(_FORCED, True) is not True:
            yield yaml.safe_dump(value, sort_keys=True)
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from _inside(inner)
