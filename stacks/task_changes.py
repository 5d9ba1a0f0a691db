"""What a task changes, or would change, on a host: from Ansible's results to unified diffs that may be shown."""

import difflib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

LONGEST_DIFF = 1_000_000
"""Characters of one task's diff that are kept: more than Ansible shows of a file. A comment shows less."""
NOT_TEXT = "(not text)"
PRIVATE = "(only its owner may read it)"
"""Instead of the content of a file that nobody but its owner may read on the host: there are keys in such files."""
_TOO_LARGE = "(too large to show)"


@dataclass(frozen=True)
class TaskChange:
    """A task that changes the host; `diff` is empty where Ansible shows none, or where secrets are handled."""

    role: str
    task: str
    diff: str = ""


def of_result(result: Mapping[str, Any], hide: Callable[[str], str]) -> str:
    """The diff in a task's result. Secrets are blotted out before lines are compared; what `no_log` hides stays out."""
    items = result.get("results")
    parts = items if isinstance(items, list) else [result]
    shown = [text for part in parts if isinstance(part, Mapping) for text in _diffs(part, hide) if text]
    return cut("\n".join(shown))


def unified(before: str, after: str, name: str) -> str:
    """A unified diff of two texts under one name; empty where they are the same."""
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), name, name, lineterm="")
    return "\n".join(lines)


def cut(diff: str) -> str:
    """A diff without what nobody could read any more; its last line says how much was left out."""
    left = len(diff) - LONGEST_DIFF
    return f"{diff[:LONGEST_DIFF]}\n... {left:,} more characters: read the change itself" if left > 0 else diff


def _diffs(result: Mapping[str, Any], hide: Callable[[str], str]) -> Iterator[str]:
    if result.get("censored") or not result.get("changed"):
        return
    found = result.get("diff")
    private = _owner_alone(_asked(result).get("mode"))
    for diff in found if isinstance(found, list) else [found]:
        if isinstance(diff, Mapping):
            yield PRIVATE if private and _has_content(diff) else _one(diff, hide(_path(diff, result)), hide)


def _one(diff: Mapping[str, Any], name: str, hide: Callable[[str], str]) -> str:
    if diff.get("prepared"):
        return hide(str(diff["prepared"])).rstrip("\n")
    if {"src_binary", "dst_binary"} & diff.keys():
        return NOT_TEXT
    if {"src_larger", "dst_larger"} & diff.keys():
        return _TOO_LARGE
    before, after = hide(_text(diff.get("before"))), hide(_text(diff.get("after")))
    if "\0" in before + after:
        return NOT_TEXT
    return unified(before, after, name)


def _path(diff: Mapping[str, Any], result: Mapping[str, Any]) -> str:
    """The path on the host; never `after_header`, which may be a temporary file of this machine."""
    before = diff.get("before")
    told = before.get("path") if isinstance(before, Mapping) else None
    asked = _asked(result)
    found = diff.get("before_header") or told or result.get("dest") or result.get("path")
    return str(found or asked.get("dest") or asked.get("path") or "").strip()


def _asked(result: Mapping[str, Any]) -> Mapping[str, Any]:
    """The arguments that the module was given."""
    invoked = result.get("invocation")
    if not isinstance(invoked, Mapping):
        return {}
    arguments = invoked.get("module_args")
    return {**(arguments if isinstance(arguments, Mapping) else {}), **invoked}


def _has_content(diff: Mapping[str, Any]) -> bool:
    """Whether it shows what is in a file, and not only its mode and owner."""
    return bool(diff.get("prepared")) or any(isinstance(diff.get(side), str) for side in ("before", "after"))


def _owner_alone(mode: object) -> bool:
    """Whether a file of this mode, as Ansible takes it, is for its owner alone."""
    try:
        bits = mode if isinstance(mode, int) else int(str(mode), 8)
    except ValueError:
        return False
    return bits & 0o077 == 0


def _text(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, indent=2, sort_keys=True, default=str)
