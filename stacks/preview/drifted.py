"""What a preview that asked the cloud found to be otherwise than the last update left it, inside hosts: pure.

`pulumi preview --refresh` makes our own provider read every host first; what it found is in the state that Pulumi then
compares with, and makes the resource differ in `drift`. What differs in the cloud is a change of its own already.
"""

from collections.abc import Callable, Mapping
from typing import Any

from stacks.preview.drift import EVERYWHERE
from stacks.preview.steps import node_of, parents_in
from stacks.urns import OURS, type_of

NOT_TOLD = "something differs, and the update would put it right"


def drifted(digest: Mapping[str, Any], hide: Callable[[str], str] = str) -> dict[str, tuple[str, ...]]:
    """By node, what drifted; checks of several nodes stand under `EVERYWHERE`."""
    parents = parents_in(digest)
    found: dict[str, dict[str, None]] = {}
    for each in digest.get("steps") or ():
        if not type_of(each["urn"]).startswith(OURS):
            continue
        told = _lines(each)
        if told:
            mine = found.setdefault(node_of(each["urn"], parents) or EVERYWHERE, {})
            mine.update(dict.fromkeys(" ".join(hide(line).split()) for line in told))
    return {name: tuple(found[name]) for name in sorted(found)}


def _lines(step: Mapping[str, Any]) -> list[str]:
    # What a refresh saw is what an update starts from.
    state = step.get("newState" if step.get("op") == "refresh" else "oldState") or {}
    drift = (state.get("outputs") or {}).get("drift")
    lines = [str(line) for line in drift] if isinstance(drift, list) else [str(drift)] if drift else []
    names = {*(step.get("detailedDiff") or ()), *(step.get("diffReasons") or ())}
    differs = any(name.partition(".")[0].partition("[")[0] == "drift" for name in names)
    return lines or ([NOT_TOLD] if differs else [])
