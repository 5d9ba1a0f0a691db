"""YAML as Pulumi reads it, with the traps of a file refused: one sentence naming the file, the line and what to do."""

import re
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from stacks.errors import StakeyardError
from stacks.fleet_text import MAX_DEPTH, clean, key_path, shown
from stacks.text import refused

LARGEST = 4 << 20
"""Bytes; a stack file of 2000 nodes is smaller."""


class _Loader(yaml.SafeLoader):
    """The scalars of YAML 1.2, as Pulumi's reader has them: `no` is text, and 12:30 is not a number of seconds."""


class _RoleLoader(_Loader):
    """The same for a role's files, where Ansible's own tags are allowed."""


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("int", r"[-+]?(0|[1-9][0-9]{0,30})", "-+0123456789"),
    ("timestamp", r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt ].*)?", "0123456789"),
    ("odd", r"[-+]?([0-9][0-9_]*|0x[0-9a-fA-F_]+|0o[0-7_]+|0b[01_]+)", "-+0123456789"),
    (
        "float",
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        "-+0123456789.",
    ),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"^({_pattern})$"), list(_first))


class _UnquotedError(yaml.constructor.ConstructorError):
    """A plain scalar that means something else than its writer thought."""


def _date(_loader: yaml.SafeLoader, node: ScalarNode) -> NoReturn:
    raise _UnquotedError(None, None, f"{shown(node.value)} is read as a date", node.start_mark)


def _odd(_loader: yaml.SafeLoader, node: ScalarNode) -> NoReturn:
    problem = f"{shown(node.value)} is a number that readers of YAML disagree about"
    raise _UnquotedError(None, None, problem, node.start_mark)


def _any_tag(loader: yaml.SafeLoader, _suffix: str, node: Node) -> object:
    if isinstance(node, ScalarNode):
        return loader.construct_scalar(node)
    if isinstance(node, SequenceNode):
        return loader.construct_sequence(node, deep=True)
    return loader.construct_mapping(node, deep=True) if isinstance(node, MappingNode) else None


_Loader.add_constructor("tag:yaml.org,2002:int", lambda _loader, node: int(node.value))
_Loader.add_constructor("tag:yaml.org,2002:timestamp", _date)
_Loader.add_constructor("tag:yaml.org,2002:odd", _odd)
_RoleLoader.add_multi_constructor("!", _any_tag)


class _FastLoader(yaml.CSafeLoader):
    """The rules of `_Loader` on libyaml's parser, which is ten times as fast and says less of what is wrong."""

    yaml_implicit_resolvers = _Loader.yaml_implicit_resolvers
    yaml_constructors = _Loader.yaml_constructors


class _FastRoleLoader(_FastLoader):
    """The rules of `_RoleLoader`."""

    yaml_multi_constructors = _RoleLoader.yaml_multi_constructors


def read_bytes(path: Path) -> bytes:
    """The file's bytes, at most one more than `LARGEST`. Raises `StakeyardError`, without the name of the file."""
    try:
        with path.open("rb") as file:
            return file.read(LARGEST + 1)
    except FileNotFoundError:
        raise StakeyardError("there is no such file; check its name.") from None
    except OSError as error:
        raise StakeyardError(f"cannot be read ({refused(error)}); name a file that you may read.") from None


def read_yaml(path: Path, *, role: bool = False) -> object:
    """What the file at `path` holds; `role` allows Ansible's tags and aliases. Raises `StakeyardError`."""
    try:
        return parse_yaml(read_bytes(path), role=role)
    except StakeyardError as error:
        raise StakeyardError(f"{path}: {error}") from None


def parse_yaml(raw: bytes, *, role: bool = False) -> object:
    """What these bytes hold. Raises `StakeyardError`, without the name of a file."""
    if len(raw) > LARGEST:
        raise StakeyardError(f"is larger than {LARGEST >> 20} MiB; a stack file is a few kilobytes.")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise StakeyardError(f"line {line}: is not UTF-8; save the file as UTF-8.") from None
    unprintable = _Loader.NON_PRINTABLE.search(text)
    if unprintable:
        line, code = text.count("\n", 0, unprintable.start()) + 1, ord(unprintable.group())
        raise StakeyardError(f"line {line}: holds the control character U+{code:04X}; remove it.")
    with suppress(yaml.YAMLError, StakeyardError, ValueError, TypeError, RecursionError, OverflowError):
        return _read((_FastRoleLoader if role else _FastLoader)(text), text, yaml.CSafeLoader, aliases=role)
    # Something is wrong with it: the other parser says what.
    try:
        return _read((_RoleLoader if role else _Loader)(text), text, yaml.SafeLoader, aliases=role)
    except yaml.MarkedYAMLError as error:
        raise StakeyardError(_sentence(error, text)) from None
    except (yaml.YAMLError, ValueError, TypeError, RecursionError, OverflowError) as error:
        raise StakeyardError(f"is not YAML that can be used ({clean(str(error))}); correct the file.") from None


def _read(loader: Any, text: str, parser: Any, *, aliases: bool) -> object:
    """What `loader` makes of the text, after a look at it with `parser`."""
    try:
        _scan(text, parser, aliases=aliases)
        node = loader.get_single_node()
        if node is None:
            return None
        _refuse_twins(node, ())
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _scan(text: str, parser: Any, *, aliases: bool) -> None:
    """Refuse deep nesting and, in a stack file, anchors (a few lines of them can stand for gigabytes)."""
    depth = 0
    for event in yaml.parse(text, Loader=parser):
        line = event.start_mark.line + 1 if event.start_mark else 1
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH + 2:
            raise StakeyardError(f"line {line}: is nested deeper than {MAX_DEPTH} levels; write it flatter.")
        anchor = getattr(event, "anchor", None)
        if anchor and not aliases:
            raise StakeyardError(f"line {line}: uses the YAML anchor {clean(anchor)}; write the value out.")


def _refuse_twins(
    node: Node, place: tuple[object, ...], above: tuple[int, ...] = (), done: set[int] | None = None
) -> None:
    """Refuse a key that is there twice, and an alias inside of what it stands for; each node is looked at once."""
    done = set() if done is None else done
    if id(node) in above:
        line = node.start_mark.line + 1
        raise StakeyardError(f"line {line}: {key_path(place)}: an alias holds itself; write the value out.")
    if id(node) in done:
        return
    done.add(id(node))
    above = (*above, id(node))
    if isinstance(node, MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, ScalarNode):
                raise StakeyardError(f"line {line}: {key_path(place)}: a key is not text; write a plain word.")
            here = (*place, key.value)
            if key.value in seen:
                raise StakeyardError(f"line {line}: {key_path(here)}: this key is there twice; keep one of them.")
            seen.add(key.value)
            _refuse_twins(value, here, above, done)
    elif isinstance(node, SequenceNode):
        for index, value in enumerate(node.value):
            _refuse_twins(value, (*place, index), above, done)


def _sentence(error: yaml.MarkedYAMLError, text: str) -> str:
    mark = error.problem_mark or error.context_mark
    number = mark.line if mark else 0
    lines = text.splitlines()
    line = lines[number] if number < len(lines) else ""
    if "\t" in line[: len(line) - len(line.lstrip())]:
        return f"line {number + 1}: is indented with a tab; use spaces."
    problem = clean(error.problem or "it cannot be parsed")
    remedy = "correct the YAML."
    if isinstance(error, _UnquotedError):
        remedy = "put the value in quotes."
    elif "constructor for the tag" in problem:
        problem, remedy = "uses a YAML tag (a word after !)", "remove it."
    elif problem == "but found another document":
        problem, remedy = "begins a second document", "keep one."
    return f"line {number + 1}: {problem}; {remedy}"
