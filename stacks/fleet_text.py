"""The words of a refusal: one sentence, the full key path first, what to do last."""

import difflib
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NoReturn

from pydantic import ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from stacks.errors import StakeyardError

MAX_DEPTH = 32
"""Levels of nesting in a stack file; a real one needs about eight."""

_LONGEST = 80
_MOST_WORDS = 14
_REMEDIES = {
    "pin": "write recorded, or the id of the image, as clouds replace images under one name.",
    "type": "name a volume type of the cloud.",
}
_TYPES = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing_size": "a whole number",
    "bool_type": "true or false",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "tuple_type": "a list",
    "list_type": "a list",
}


def clean(text: str) -> str:
    """The text on one line, unprintable characters escaped, long text cut."""
    line = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
    return line if len(line) <= _LONGEST else line[: _LONGEST - 3] + "..."


def shown(value: object) -> str:
    """A value from a stack file as a sentence can show it."""
    match value:
        case str():
            text = f"'{clean(value)}'" if value else "an empty text"
        case bool():
            text = "true" if value else "false"
        case None:
            text = "nothing"
        case Mapping():
            text = "a mapping" if value else "an empty mapping"
        case list() | tuple():
            text = "a list" if value else "an empty list"
        case _:
            text = clean(str(value))
    return text


def sort_of(value: object) -> str:
    """What sort of thing a value is, for a sentence that must not show it, as it may be a decrypted secret."""
    if isinstance(value, str) and value:
        return "text"
    return "a number" if isinstance(value, int | float) and not isinstance(value, bool) else shown(value)


def key_path(parts: Iterable[object], whole: str = "fleet") -> str:
    """`nodes.bitcoin-1.volumes.chain`; list positions are written `waves[0]`; `whole` where there is no key."""
    path = ""
    for part in parts:
        if isinstance(part, int) and not isinstance(part, bool):
            path += f"[{part}]"
        else:
            path += ("." if path else "") + clean(str(part))
    return path or whole


def near(word: str, known: Iterable[str], where: str = "docs/stack-file.md") -> str:
    """`did you mean x?`, or the known words where none is near; too many are left to the page `where`."""
    words = sorted(known)
    close = difflib.get_close_matches(word[:200], words, n=1, cutoff=0.6)
    if close:
        return f"did you mean {close[0]}?"
    if not words:
        return "none is known here, so remove it."
    if len(words) > _MOST_WORDS:
        return f"see {where} for those that are known."
    return f"use {either(words)}."


def either(words: Sequence[str]) -> str:
    """`a, b or c`."""
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " or " + words[-1]


def refusal(path: str, problem: str) -> StakeyardError:
    """The error for one key: a sentence that ends in a full stop or a question mark."""
    end = "" if problem.endswith((".", "?")) else "."
    return StakeyardError(f"{path}: {problem}{end}")


def refuse(problem: str) -> NoReturn:
    """Refuse the value that a pydantic validator is looking at."""
    raise PydanticCustomError("refused", "{problem}", {"problem": problem})


def sentence(error: ValidationError, data: object, whole: str = "fleet") -> StakeyardError:
    """The first thing wrong with `data`; an unknown key before all others, as a misspelt key is also a missing one."""
    errors = error.errors(include_url=False)
    first = min(errors, key=lambda detail: detail["type"] != "unknown_key")
    place = _location(first, data)
    # What is under `vars` may be secret.
    return refusal(key_path(place, whole), _problem(first, sort_of if "vars" in place else shown))


def _location(detail: ErrorDetails, data: object) -> list[object]:
    """The error's place, without the names of union branches, which the reader of a stack file does not know."""
    place: list[object] = []
    here = data
    for part in detail["loc"]:
        try:
            here = here[part]  # type: ignore[index]
        except (KeyError, IndexError, TypeError):
            if detail["type"] != "missing" or part != detail["loc"][-1]:
                continue
        place.append(part)
    if detail["type"] == "unknown_key":
        place.append(detail["ctx"]["key"])
    if detail["type"].startswith("union_tag_"):
        place.append(detail["ctx"]["discriminator"].strip("'"))
    return place


def _problem(detail: ErrorDetails, show: Callable[[object], str]) -> str:
    """What is wrong; `show` says how the value is written in the sentence."""
    kind, value, context = detail["type"], detail["input"], detail.get("ctx", {})
    if kind in _TYPES:
        quote = kind == "string_type" and isinstance(value, bool | int | float)
        remedy = "put the value in quotes." if quote else "correct the value."
        return f"must be {_TYPES[kind]}, not {show(value)}; {remedy}"
    if kind in ("literal_error", "union_tag_invalid"):
        tags = str(context.get("expected_tags")).replace(", ", " or ")
        expected = str(context.get("expected") or tags).replace("'", "")
        return f"must be {expected}, not {show(context.get('tag', value))}; correct the value."
    match kind:
        case "refused" | "unknown_key":
            problem = str(context["problem"])
        case "missing":
            problem = f"this key is missing; {_REMEDIES.get(str(detail['loc'][-1]), 'add it.')}"
        case "union_tag_not_found":
            problem = "this key is missing; add it."
        case "too_short" | "string_too_short":
            problem = "must not be empty; fill it in."
        case "too_long":
            problem = f"has more than {context['max_length']} entries; shorten it."
        case "greater_than_equal":
            problem = f"must be at least {context['ge']}, not {show(value)}; correct the value."
        case "less_than_equal":
            problem = f"must be at most {context['le']}, not {show(value)}; correct the value."
        case _:
            problem = f"{clean(detail['msg'])[:1].lower()}{clean(detail['msg'])[1:]}; correct the value."
    return problem


def require_plain(data: object, whole: str = "stakeyard:fleet", place: tuple[object, ...] = ()) -> None:
    """Refuse what no stack file can mean: keys that are no text, dates, infinity, control characters, deep nesting."""
    if len(place) > MAX_DEPTH:
        raise refusal(key_path(place[:4]), f"is nested deeper than {MAX_DEPTH} levels; write it flatter.")
    if isinstance(data, dict):
        for key, value in data.items():
            if not isinstance(key, str):
                raise refusal(key_path(place, whole), f"the key {shown(key)} is not text; put the key in quotes.")
            _require_text(key, key_path(place, whole), "the key")
            require_plain(value, whole, (*place, key))
    elif isinstance(data, list | tuple):
        for index, value in enumerate(data):
            require_plain(value, whole, (*place, index))
    elif isinstance(data, str):
        _require_text(data, key_path(place, whole), "the text")
    elif isinstance(data, float):
        if not math.isfinite(data):
            raise refusal(key_path(place, whole), f"{data} is not a number one can use; correct the value.")
    elif isinstance(data, int) and data.bit_length() > 128:
        raise refusal(key_path(place, whole), "is a number of too many digits; correct the value")
    elif data is not None and not isinstance(data, bool | int):
        name = type(data).__name__
        raise refusal(key_path(place, whole), f"is read as a {name}, which no key takes; put the value in quotes.")


def require_no_template(data: object, place: tuple[object, ...] = ()) -> None:
    """Refuse text that Ansible would run as a template, which could read and run anything on the control machine.

    Nothing of the text is shown, as it may be a secret.
    """
    if isinstance(data, dict):
        for key, value in data.items():
            require_no_template(str(key), place)
            require_no_template(value, (*place, key))
    elif isinstance(data, list | tuple):
        for index, value in enumerate(data):
            require_no_template(value, (*place, index))
    elif isinstance(data, str):
        for mark in ("{{", "{%", "{#"):
            if mark in data:
                raise refusal(
                    key_path(place), f"holds {mark}, which begins a template of Ansible; write the value itself."
                )


def _require_text(text: str, path: str, what: str) -> None:
    for character in text:
        if (
            "\ud800" <= character <= "\udfff"
            or (ord(character) < 32 and character not in "\n\t")
            or character == "\x7f"
        ):
            code = json.dumps(character).strip('"')
            raise refusal(path, f"{what} holds the control character {code}; remove it.")
