"""Tasks that Ansible's check mode does not bind: a change may not slip one onto a host before it has been reviewed."""

from collections.abc import Iterator, Mapping
from itertools import count
from pathlib import Path
from typing import Any

import yaml

from stacks.role_files import SKIPPED
from stacks.role_imports import BLOCKS, READ_AS_TASKS

_FORCED = "check_mode"
_READ_AS_YAML = (".yml", ".yaml", ".json")
_MOST_VISITS = 100_000


class _Loader(yaml.SafeLoader):
    """Every scalar as its text, and every tag as what it stands before; merged keys (`<<`) as Ansible has them."""


_Loader.yaml_implicit_resolvers = {"<": yaml.SafeLoader.yaml_implicit_resolvers["<"]}


def _any_tag(loader: yaml.SafeLoader, _suffix: str, node: yaml.Node) -> object:
    if isinstance(node, yaml.MappingNode):
        return loader.construct_mapping(node, deep=True)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    return str(node.value)


_Loader.add_multi_constructor("", _any_tag)


def unbound(head: Path, base: Path | None) -> tuple[str, ...]:
    """The files of the roles in `head` with such a task that is not, word for word, in the same file of `base`.

    All files of all roles: a task may be read from a file of any name, and from another role. What cannot be read, and
    a link, counts as such a task. Without a base there is nothing to compare with: the files are those of the operator
    who runs the command.
    """
    if base is None:
        return ()
    found = (path for path in sorted(head.rglob("*")) if not SKIPPED & set(path.relative_to(head).parts))
    names = (path.relative_to(head) for path in found if path.is_symlink() or path.is_file())
    return tuple(str(name) for name in names if _slips_in(head / name, base / name))


def _slips_in(after: Path, before: Path) -> bool:
    if after.is_symlink():
        return True
    new, old = after.read_bytes(), before.read_bytes() if before.is_file() else b""
    if new == old:
        return False
    tasks = after.suffix in _READ_AS_YAML or after.parent.name in READ_AS_TASKS
    return not set(_forced(new, tasks)) <= set(_forced(old, tasks))


def _forced(raw: bytes, tasks: bool) -> list[str]:
    """Each task that sets `check_mode` to anything but a plain `true`, in one canonical form with the blocks around it.

    What cannot be read as YAML is one such task where it is a file of `tasks`, or holds the word.
    """
    try:
        found = yaml.load(raw.decode(), _Loader)  # noqa: S506 - it makes texts and nothing else
        return list(_inside(found))
    except (yaml.YAMLError, ValueError, TypeError, LookupError, AttributeError, RecursionError):
        return [repr(raw)] if tasks or _FORCED.encode() in raw else []


def _inside(whole: Any) -> Iterator[str]:
    """Not recursive, as a file may be nested as deeply as its author likes, also within itself."""
    waiting: list[tuple[Any, tuple[object, ...]]] = [(whole, ())]
    for visits in count():
        if not waiting:
            return
        if visits > _MOST_VISITS:
            raise ValueError("aliases of aliases")
        value, around = waiting.pop()
        if isinstance(value, list):
            waiting += ((inner, around) for inner in value)
        elif isinstance(value, Mapping):
            if str(value.get(_FORCED, "true")) not in ("true", "True"):
                yield yaml.safe_dump([*around, value], sort_keys=True)
            own = {key: inner for key, inner in value.items() if key not in BLOCKS}
            waiting += ((inner, (*around, own) if key in BLOCKS else around) for key, inner in value.items())
