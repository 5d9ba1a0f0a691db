"""From what `pulumi preview --json` prints to changes: pure.

Pulumi says a replacement in up to three steps, lists an unknown value as a marker, and shows of a resource of ours only
the top-level name that differs; here each resource is one step, and each difference one value.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from stacks.preview import opened
from stacks.preview.model import PROTECT, Change, Difference, Operation
from stacks.urns import CONVERGENCE, NODE, name_of, type_of

UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
"""How Pulumi writes a value that only the update will know (pkg/resource/plugin/rpc.go)."""
KNOWN_LATER = "(known after the update)"
MASKED = "[secret]"
"""How Pulumi writes a secret."""

_OPERATIONS: Mapping[str, Operation] = {
    "create": "create",
    "import": "create",
    "update": "update",
    "delete": "delete",
    "replace": "replace",
    "create-replacement": "replace",
    "delete-replaced": "replace",
    "import-replacement": "replace",
}
_INTERNAL = ("__defaults", "__meta")
_PATH = re.compile(r'\[(\d+)\]|\["((?:[^"\\]|\\.)*)"\]|\.?([^.\[\]]+)')


@dataclass(frozen=True)
class Step:
    """What would happen to one resource, with its inputs before (empty for a new one) and after (for one that goes)."""

    operation: Operation
    type: str
    name: str
    urn: str
    node: str | None
    inputs: Mapping[str, Any] = field(default_factory=dict)
    old_inputs: Mapping[str, Any] = field(default_factory=dict)
    old_outputs: Mapping[str, Any] = field(default_factory=dict)
    protect: bool = False
    unprotected: bool = False
    """Whether it is protected before and not after, which Pulumi does not call a change."""
    paths: Mapping[str, bool] = field(default_factory=dict)
    """The properties that differ as Pulumi names them, and whether each makes a new resource necessary."""
    reasons: tuple[str, ...] = ()
    """Top-level properties that make a new resource necessary."""
    passages: tuple[Mapping[str, Any], Mapping[str, Any]] | None = None
    """Inputs before and after by which to say what a firewall lets through, where its own are masked."""


def steps(digest: Mapping[str, Any]) -> tuple[Step, ...]:
    """The resources that would change, by URN; components, which are nothing in the cloud, are left out."""
    told = _told(digest)
    parents = parents_in(digest)
    return tuple(step for urn in sorted(told) if (step := _step(urn, told[urn], parents)) is not None)


def parents_in(digest: Mapping[str, Any]) -> dict[str, str]:
    """The parent of every resource that it tells of; an empty text for one without."""
    return {urn: _parent(group) for urn, group in _told(digest).items()}


def _told(digest: Mapping[str, Any]) -> dict[str, list[Mapping[str, Any]]]:
    told: dict[str, list[Mapping[str, Any]]] = {}
    for each in digest.get("steps") or ():
        told.setdefault(str(each["urn"]), []).append(each)
    return told


def _parent(group: Iterable[Mapping[str, Any]]) -> str:
    states = (each.get(key) or {} for each in group for key in ("newState", "oldState"))
    return next((str(state["parent"]) for state in states if state.get("parent")), "")


def _step(urn: str, group: Sequence[Mapping[str, Any]], parents: Mapping[str, str]) -> Step | None:
    found = {_OPERATIONS[each["op"]] for each in group if each["op"] in _OPERATIONS}
    lifted = any(_lifts(each) for each in group)
    if not found and not lifted:
        return None
    operation: Operation = "replace" if len(found) > 1 or "replace" in found else found.pop() if found else "unprotect"
    # Where the cloud is asked first, Pulumi also tells of the refresh, whose states both are from before the change.
    acting = [each for each in group if each["op"] in _OPERATIONS] or group
    old = _merged(each.get("oldState") for each in acting)
    new = {} if operation == "delete" else _merged(each.get("newState") for each in acting)
    state = new or old
    kind = str(state.get("type") or type_of(urn))
    provider = kind.startswith("pulumi:providers:")
    if not state.get("custom") or (provider and operation in ("create", "delete")):
        return None
    reasons = {str(name) for each in group for name in each.get("replaceReasons") or ()}
    paths: dict[str, bool] = {}
    for each in group:
        for path, how in (each.get("detailedDiff") or {}).items():
            paths[path] = paths.get(path, False) or str(how.get("kind", "")).endswith("-replace")
    return Step(
        operation=operation,
        type=kind,
        name=name_of(urn),
        urn=urn,
        node=node_of(urn, parents),
        inputs=new.get("inputs") or {},
        old_inputs=old.get("inputs") or {},
        old_outputs=old.get("outputs") or {},
        protect=bool(old.get("protect") or new.get("protect")),
        unprotected=lifted,
        paths=paths,
        reasons=tuple(sorted(reasons)),
    )


def _lifts(told: Mapping[str, Any]) -> bool:
    """Whether a resource stays, and its protection does not."""
    old, new = told.get("oldState") or {}, told.get("newState") or {}
    return bool(old.get("protect") and new and not new.get("protect"))


def _merged(states: Iterable[Mapping[str, Any] | None]) -> Mapping[str, Any]:
    """The state that says most: steps of one replacement repeat each other, some without inputs."""
    return max((state for state in states if state), key=lambda state: len(state.get("inputs") or ()), default={})


def node_of(urn: str, parents: Mapping[str, str]) -> str | None:
    """The node that a resource belongs to: the first of its ancestors that is one."""
    seen: set[str] = set()
    while urn and urn not in seen:
        if type_of(urn) == NODE:
            return name_of(urn)
        seen.add(urn)
        urn = parents.get(urn, "")
    return None


def change(step: Step) -> Change:
    """The change with each value that differs: all of them, as what it means is judged by them."""
    found = sorted({*_differences(step), *_passages(step)}, key=lambda each: (each.path, each.before, each.after))
    return Change(step.operation, step.type, step.name, step.node, tuple(found), step.protect)


def _passages(step: Step) -> Iterator[Difference]:
    if step.type == CONVERGENCE and step.operation in ("create", "delete"):
        return  # a host's firewall comes and goes with it
    old, new = step.passages or (step.old_inputs, step.inputs)
    for path, before, after in opened.differing(step.type, old, new, UNKNOWN):
        yield Difference(path, before or "", after or "")


def _differences(step: Step) -> Iterator[Difference]:
    if step.unprotected:
        yield Difference(PROTECT, "true", "false")
    if step.operation in ("delete", "unprotect"):
        return
    if step.operation == "create" or not step.paths:
        # A replacement that only follows another one has no differences of its own in Pulumi's words.
        for path, before, after in compare(step.old_inputs, step.inputs):
            yield Difference(path, shown(before), shown(after), top(path) in step.reasons)
        return
    for path, replaces in step.paths.items():
        keys = tuple(parsed(path))
        before = dig(step.old_inputs, keys)
        before = dig(step.old_outputs, keys) if before is None else before
        after = dig(step.inputs, keys)
        if before == after == MASKED:
            # Pulumi saw that they differ, and shows neither.
            yield Difference(path, MASKED, f"{MASKED} (another value)", replaces)
        for inner, old, new in compare(before, after, path):
            yield Difference(inner, shown(old), shown(new), replaces)


def compare(before: Any, after: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Path, value before and value after of everything that differs; None for what is not there."""
    if before == after:
        return
    if _is(Mapping, before, after):
        for key in sorted({*(before or {}), *(after or {})} - set(_INTERNAL)):
            inner = f"{path}.{key}" if path else str(key)
            yield from compare((before or {}).get(key), (after or {}).get(key), inner)
    elif _is(list, before, after) and (names := _names(before, after)) is not None:
        for name in names:
            yield from compare(_named(before, name), _named(after, name), f"{path}[{name}]")
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for index, (old, new) in enumerate(zip(before, after, strict=True)):
            yield from compare(old, new, f"{path}[{index}]")
    elif isinstance(before, list) and isinstance(after, list) and _texts(before, after):
        # One by one: the one that was added to many would not be seen among them.
        yield from ((f"{path}[]", text, None) for text in sorted((Counter(before) - Counter(after)).elements()))
        yield from ((f"{path}[]", None, text) for text in sorted((Counter(after) - Counter(before)).elements()))
    else:
        yield path, before, after


def _is(kind: type, before: Any, after: Any) -> bool:
    """Whether both are of this kind, or one of them is and the other is not there."""
    return (isinstance(before, kind) or before is None) and (isinstance(after, kind) or after is None)


def _names(before: list[Any] | None, after: list[Any] | None) -> list[str] | None:
    """The names by which the items of both lists can be told apart; None where they have none."""
    found: dict[str, None] = {}
    for items in (before or [], after or []):
        names = [item.get("name") if isinstance(item, Mapping) else None for item in items]
        if any(not isinstance(name, str) or name == UNKNOWN for name in names) or len(set(names)) < len(names):
            return None
        found |= dict.fromkeys(str(name) for name in names)
    return list(found)


def _texts(*lists: list[Any]) -> bool:
    return all(isinstance(item, str) for items in lists for item in items)


def _named(items: list[Any] | None, name: str) -> Any:
    return next((item for item in items or [] if item["name"] == name), None)


def parsed(path: str) -> Iterator[str | int]:
    """The keys of a path as Pulumi writes it, such as `networks[0].port` or `metadata["a.b"]`."""
    for index, quoted, plain in _PATH.findall(path):
        yield int(index) if index else str(json.loads(f'"{quoted}"')) if quoted else plain


def dig(value: Any, keys: Iterable[str | int]) -> Any:
    """What is at the end of these keys, or None."""
    for key in keys:
        try:
            value = value[key]
        except (KeyError, IndexError, TypeError):
            return None
    return value


def top(path: str) -> str:
    """The property that a path begins with."""
    return re.split(r"[.\[]", path, maxsplit=1)[0]


def shown(value: Any) -> str:
    """A value as a report shows it; an empty text for none."""
    if value is None:
        return ""
    if isinstance(value, str):
        return KNOWN_LATER if value == UNKNOWN else value
    return json.dumps(_plain(value), sort_keys=True, ensure_ascii=False)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items() if key not in _INTERNAL}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return KNOWN_LATER if value == UNKNOWN else value
