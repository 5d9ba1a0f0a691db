"""The folded parts of a comment: every change with its values, and what would change inside each host. Pure."""

from collections.abc import Iterable, Iterator, Sequence

from stacks.preview import opened, risk
from stacks.preview.escape import block, code, html, prose
from stacks.preview.model import Change, Inside, Preview
from stacks.preview.rows import SHARED
from stacks.preview.words import FOLLOWS, TYPES, VERBS, count, fitting, kind_of, named

_DIFF = 4_000
_PART = 10_000
_VALUE = 160
_NAME = 200
MOST_DIFFERENCES = 60
"""Of one resource; the rest is a number."""
_OF_NEW = ("name", "flavorName", "size", "volumeType", "description", opened.PATH)
"""What is told of a new resource."""


def details(preview: Preview) -> Iterator[str]:
    """A folded part for what nodes share and for each node, in the order of the preview."""
    shared = folded("What nodes share", preview.shared, None)
    urgent = any(risk.needs_review(change, SHARED) for change in preview.shared)
    nodes = [node for node in preview.nodes if node.changes or node.inside]
    if urgent and shared:
        first = [node for node in nodes if node.replaced or node.touches_signer]
        rest = nodes[len(first) :]
    else:
        first, rest = nodes, []
    for node in first:
        yield folded(f"{node.name} ({node.kind})", node.changes, node.inside)
    if shared:
        yield shared
    for node in rest:
        yield folded(f"{node.name} ({node.kind})", node.changes, node.inside)


def folded(title: str, changes: Sequence[Change], inside: Inside | None) -> str:
    """One folded part; empty where there is nothing in it."""
    parts = [each for each in (change_list(changes), inside_part(inside)) if each]
    if not parts:
        return ""
    # A blank line on both sides makes Markdown of what is inside the tags.
    return "\n\n".join([f"<details><summary>{html(title)}</summary>", *parts, "</details>"])


def change_list(changes: Iterable[Change]) -> str:
    """Every change with its differences; resources with the same are one line."""
    groups: dict[str, tuple[str, str, list[str], list[str]]] = {}
    lines: list[str] = []
    for change in changes:
        mark = " (protected)" if change.protected else ""
        differences = [f"  - {difference}" for difference in _differences(change)]
        if differences[MOST_DIFFERENCES:]:
            left = len(differences) - MOST_DIFFERENCES
            differences = [*differences[:MOST_DIFFERENCES], f"  - {count(left, 'more value')} in `preview.json`"]
        key = "\n".join([change.operation, change.type, mark, *differences]) if differences else ""
        same = groups.get(key) if key else None
        if same:
            same[2].append(change.name)
            continue
        groups[key or f"{change.operation} {change.type} {change.name}"] = (
            VERBS[change.operation],
            kind_of(change) + mark,
            [change.name],
            differences,
        )
    for verb, kind, names, differences in groups.values():
        lines.append(f"- **{verb}** {prose(kind)} {named(names, _NAME)}")
        lines += differences
    return "\n".join(fitting(lines, _PART, "line"))


def _differences(change: Change) -> Iterator[str]:
    if change.type in FOLLOWS:
        return
    if change.operation == "create" and change.type in TYPES:
        told = [each for each in change.differences if each.path in _OF_NEW]
    else:
        told = list(change.differences)
    for each in told:
        forced = " **forces a new one**" if each.replaces else ""
        if change.operation == "create" or not each.before:
            yield f"{code(each.path)}: {code(each.after, _VALUE)}{forced}"
        else:
            yield f"{code(each.path)}: {code(each.before, _VALUE)} → {code(each.after, _VALUE)}{forced}"


def inside_part(inside: Inside | None) -> str:
    """What would change inside the host, and how it is known."""
    if inside is None:
        return ""
    how = {
        "seen": "Inside the host (Ansible looked, and changed nothing):",
        "told": "Inside the host (nobody could look; told from the two versions of its roles and variables):",
        "unknown": "Inside the host: not known:",
    }[inside.how]
    parts = [f"{how} {prose(inside.reason)}".strip()]
    if inside.how == "seen" and not inside.tasks:
        parts.append("No task would change anything.")
    room, left = _PART, 0
    for task in inside.tasks:
        told = [f"- {code(task.role)} {prose(task.name)}"]
        if task.diff:
            told.append(block(task.diff, "diff", _DIFF))
        room -= sum(map(len, told))
        if room >= 0:
            parts += told
        else:
            left += 1
    if left:
        parts.append(f"- {count(left, 'more task')} in `preview.json`")
    return "\n\n".join(parts)
