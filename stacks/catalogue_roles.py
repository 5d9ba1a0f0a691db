"""What a role says of itself: its variables with their types."""

import json
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from stacks.encrypted_value import is_encrypted
from stacks.errors import StakeyardError
from stacks.fleet_text import near, sort_of
from stacks.fleet_yaml import read_yaml


@dataclass(frozen=True)
class Option:
    """One variable of a role: its default, and what argument_specs.yml says of it."""

    name: str
    default: object
    type: str = "raw"
    choices: tuple[object, ...] = ()
    elements: str = "raw"
    description: str = ""
    no_log: bool | None = None
    """Whether it is a secret; None where nothing is said, so that what is said of the option around it counts."""
    options: Mapping[str, "Option"] = field(default_factory=dict)
    """What a mapping, or each mapping in a list, is made of, as far as argument_specs.yml says it."""

    def problem(self, value: object) -> str | None:
        """Why `value` does not fit, with what to do; None where it fits. Never shows a value, as it may be a secret."""
        problem = _misfit(self.type, value)
        if problem or is_encrypted(value):
            return problem
        entries = value if self.type == "list" and isinstance(value, list | tuple) else ()
        for entry in entries:
            problem = _misfit(self.elements, entry)
            if problem:
                return f"every entry {problem}"
        if problem := _line_problem(value) or next(filter(None, map(_line_problem, entries)), None):
            return problem
        if self.choices and value not in self.choices:
            return f"is not a choice; {near(str(value), [str(choice) for choice in self.choices])}"
        return None


@dataclass(frozen=True)
class Role:
    """One role and its variables by name."""

    name: str
    options: Mapping[str, Option]


_WORDS = {"str": "text", "path": "text", "int": "a whole number", "float": "a number", "bool": "true or false"}
_WORDS |= {"list": "a list", "dict": "a mapping"}
_NOT_TEXT = ("int", "float", "bool", "list", "dict")


def may_be_encrypted(kind: str) -> bool:
    """Whether a value of this type of Ansible's may be: what Pulumi decrypts becomes text, whatever it was."""
    return kind not in _NOT_TEXT


def _line_problem(value: object) -> str | None:
    """Why a text is more than one line: roles write values into files where a line break begins another setting.

    Nothing of the value is shown, as it may be a secret.
    """
    for character in value if isinstance(value, str) else "":
        if unicodedata.category(character) in ("Cc", "Zl", "Zp"):
            return f"holds the control character {json.dumps(character)[1:-1]}; write the value on one line without it."
    return None


def _misfit(kind: str, value: object) -> str | None:
    """Why a value is not of this type of Ansible's."""
    if is_encrypted(value):
        if may_be_encrypted(kind):
            return None
        remedy = "encrypt the texts inside it." if kind in ("list", "dict") else "write it as it is."
        return f"must be {_WORDS[kind]}, but what is encrypted becomes text; {remedy}"
    if _fits(kind, value):
        return None
    quote = kind in ("str", "path") and isinstance(value, bool | int | float)
    remedy = "put the value in quotes." if quote else "correct the value."
    return f"must be {_WORDS[kind]}, not {sort_of(value)}; {remedy}"


def _fits(kind: str, value: object) -> bool:
    if kind in ("str", "path"):
        return isinstance(value, str)
    if kind == "int":
        return isinstance(value, int) and not isinstance(value, bool)
    if kind == "float":
        return isinstance(value, int | float) and not isinstance(value, bool)
    types: dict[str, type | tuple[type, ...]] = {"bool": bool, "list": (list, tuple), "dict": dict}
    return kind not in types or isinstance(value, types[kind])


def read_role(directory: Path) -> Role:
    """The role in `directory`; a role without defaults has no variables."""
    defaults = _mapping(directory / "defaults" / "main.yml")
    path = directory / "meta" / "argument_specs.yml"
    specs = _mapping(path).get("argument_specs")
    main = specs.get("main") if isinstance(specs, dict) else None
    options = main.get("options") if isinstance(main, dict) else None
    known = options if isinstance(options, dict) else {}
    try:
        return Role(directory.name, {name: _option(name, value, known.get(name)) for name, value in defaults.items()})
    except StakeyardError as error:
        raise StakeyardError(f"{path}: {error}") from None


def _option(name: str, default: object, spec: object) -> Option:
    if not isinstance(spec, dict):
        return Option(name, default)
    secret, parts = spec.get("no_log"), spec.get("options")
    if secret is not None and not isinstance(secret, bool):
        # Taken for false, a word such as `yes`, which Ansible takes for true, would let a secret stand in clear.
        raise StakeyardError(f"{name}.no_log: must be true or false, not {sort_of(secret)}; correct the file.")
    choices = spec.get("choices")
    description = spec.get("description", "")
    return Option(
        name=name,
        default=default,
        type=str(spec.get("type", "str")),
        choices=tuple(choices) if isinstance(choices, list) else (),
        elements=str(spec.get("elements", "raw")),
        description=" ".join(str(part) for part in description) if isinstance(description, list) else str(description),
        no_log=secret,
        options={
            key: _option(f"{name}.{key}", None, part)
            for key, part in (parts.items() if isinstance(parts, dict) else ())
        },
    )


def _mapping(path: Path) -> dict[str, object]:
    if not path.is_file():
        return {}
    data = read_yaml(path, role=True)
    if data is None:
        return {}
    if not isinstance(data, dict) or not all(isinstance(key, str) for key in data):
        raise StakeyardError(f"{path}: must be a mapping of variables; correct the file.")
    return data
