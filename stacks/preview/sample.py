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
    except (re.error, LookupError, ValueError):
        text = None
    if text is None or not re.search(pattern, text):
        raise StakeyardError(f"no name can be made up for {pattern!r}: write name_regex without look-arounds.")
    return text


def _all(parts: Any) -> str:
    return "".join(_one(kind, value) for kind, value in parts)


def _one(kind: Any, value: Any) -> str:
    if kind is code.LITERAL:
        return chr(value)
    if kind is code.NOT_LITERAL:
        return next(letter for letter in _LETTERS if ord(letter) != value)
    if kind is code.ANY:
        return "a"
    if kind is code.IN:
        return next(letter for letter in _LETTERS if _within(value, letter))
    if kind in (code.MAX_REPEAT, code.MIN_REPEAT, code.POSSESSIVE_REPEAT):
        least, _, inner = value
        return _all(inner) * least
    if kind is code.SUBPATTERN:
        return _all(value[-1])
    if kind is code.ATOMIC_GROUP:
        return _all(value)
    if kind is code.BRANCH:
        return _all(value[1][0])
    if kind is code.AT:
        return ""
    raise LookupError(kind)


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
