"""A text that a regular expression matches: the name of an image that a mocked cloud has."""

import re
from re import _constants as code  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

from stacks.errors import StakeyardError

_LETTERS = "a0-_ .AabcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ123456789/:"


def sample(pattern: str) -> str:
    """The shortest text that comes to mind. Raises StakeyardError where none can be made."""
    try:
        text = _all(parser.parse(pattern))
    except (re.error, LookupError, StopIteration, ValueError):
        text = None
    if text is None or not re.search(pattern, text):
        raise StakeyardError(f"no name can be made up for {pattern!r}: write name_regex without look-arounds.")
    return text


def _all(parts: Any) -> str:
    return "".join(_one(kind, value) for kind, value in parts)


def _one(kind: Any, value: Any) -> str:
    text: str
    match str(kind):
        case "LITERAL":
            text = chr(value)
        case "NOT_LITERAL":
            text = next(letter for letter in _LETTERS if ord(letter) != value)
        case "ANY":
            text = "a"
        case "IN":
            text = next(letter for letter in _LETTERS if _within(value, letter))
        case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
            text = _all(value[2]) * value[0]
        case "SUBPATTERN":
            text = _all(value[-1])
        case "ATOMIC_GROUP":
            text = _all(value)
        case "BRANCH":
            text = _all(value[1][0])
        case "AT":
            text = ""
        case _:
            raise LookupError(kind)
    return text


def _within(options: Any, letter: str) -> bool:
    negated = options[0][0] is code.NEGATE
    return negated is not any(_is(kind, value, letter) for kind, value in options if kind is not code.NEGATE)


def _is(kind: Any, value: Any, letter: str) -> bool:
    if kind is code.LITERAL:
        return bool(ord(letter) == value)
    if kind is code.RANGE:
        return bool(value[0] <= ord(letter) <= value[1])
    if kind is code.CATEGORY:
        # Named as in `CATEGORY_NOT_DIGIT`.
        name = str(value).removeprefix("CATEGORY_")
        word = {"DIGIT": r"\d", "SPACE": r"\s", "WORD": r"\w"}[name.removeprefix("NOT_")]
        return bool(re.match(word, letter)) is not name.startswith("NOT_")
    return False
