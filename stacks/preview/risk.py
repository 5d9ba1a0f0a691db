"""How risky a preview is: pure, by the table of stacks/preview/rows.py."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from stacks.catalogue import HOST
from stacks.catalogue_networks import Downtime
from stacks.preview.model import Change, Inside, Node, Preview, Verdict
from stacks.preview.rows import FIRST, SHARED, About, Down, rows
from stacks.preview.words import duration

_PIECES = re.compile("([0-9]+)|([^0-9]+)")
_WORST: Mapping[Down, int] = {"": 0, "restart": 1, "server": 2, "address": 3, "data": 4, "end": 5}
_RULES_FIRST = ("program-changed", "base-unreadable", "throwaway-changed", "setting-changed", "policy-changed")
"""Of findings of one level: what says how far the others can be believed, so that many of these do not hide it."""
_DOWNS: Mapping[Down, str] = {
    "": "",
    "address": "until others know its new address",
    "data": "until its data is there again",
    "end": "for good",
}


def touches_signer(changes: Iterable[Change], inside: Inside | None, about: About) -> bool:
    """Whether the node signs, and its service, keys, claim or key volume would be touched."""
    if not about.signs:
        return False
    return inside is not None or any(row.signer for change in changes for row in rows(change, about))


def downtime(changes: Iterable[Change], about: About, expected: Downtime | None) -> str:
    """What the node's users must expect, for people; empty where it is nothing.

    A node that is new has no users yet.
    """
    if about.new:
        return ""
    made = list(changes)
    downs: set[Down] = {row.down for change in made for row in rows(change, about)}
    if "server" in downs:
        downs.discard("end")  # deleted, and made under another name
    worst: Down = max(downs, key=_WORST.__getitem__, default="")
    if worst in _DOWNS:
        return _DOWNS[worst]
    words = {"restart": "service restarted", "server": "new server"}[worst]
    if expected is None:
        return f"unknown ({words})"
    return f"about {duration(expected.server if worst == 'server' else expected.restart)} ({words})"


def assessed(node: Node, about: About, expected: Downtime | None) -> Node:
    """The node with what it means for its signer and its users."""
    return replace(
        node,
        new=about.new,
        touches_signer=touches_signer(node.changes, node.inside, about),
        downtime=downtime(node.changes, about, expected),
    )


def about(node: Node) -> About:
    """What is known of an assessed node; its key volume apart, which `Node.touches_signer` stands for."""
    return About(node.signs, new=node.new)


def needs_review(change: Change, about: About) -> bool:
    """Whether somebody has to look at this change."""
    return any(row.review for row in rows(change, about))


def node_needs_review(node: Node) -> bool:
    """Whether somebody has to look at this node."""
    return (
        node.touches_signer
        or any(needs_review(change, about(node)) for change in node.changes)
        or any(inside_reasons(node.inside))
    )


def inside_reasons(inside: Inside | None) -> Iterator[str]:
    """Why somebody has to look at what would change inside a host."""
    if inside is None:
        return
    if inside.how == "unknown":
        yield "what would change inside the host is not known"
    elif not inside.complete:
        yield "the look inside the host did not get through"
    # The role of every host is its users, its SSH and its firewall.
    if any(task.role == HOST for task in inside.tasks):
        yield "the users, SSH or firewall of the host itself would change"


def verdict(preview: Preview) -> Verdict:
    """How the preview ends. A waived finding counts for nothing."""
    counted = [finding for finding in preview.findings if not finding.waived]
    if any(finding.level == "error" for finding in counted):
        return Verdict.REFUSED
    if (
        counted
        or any(preview.drift.values())
        or any(node_needs_review(node) for node in preview.nodes)
        or any(needs_review(change, SHARED) for change in preview.shared)
    ):
        return Verdict.REVIEW
    return Verdict.SAFE


def ordered(preview: Preview) -> Preview:
    """The preview in the order in which it is read: what somebody must look at first, then by name."""
    nodes = sorted(
        preview.nodes,
        key=lambda n: (not (n.replaced or n.touches_signer), not node_needs_review(n), not n.changes, natural(n.name)),
    )
    findings = sorted(
        preview.findings,
        key=lambda f: (bool(f.waived), f.level != "error", _place(f.rule), f.rule, natural(f.key), f.sentence),
    )
    return replace(
        preview,
        nodes=tuple(replace(node, changes=sorted_changes(node.changes, about(node))) for node in nodes),
        shared=sorted_changes(preview.shared, SHARED),
        findings=tuple(findings),
        notes=tuple(sorted(set(preview.notes))),
        drift={name: tuple(preview.drift[name]) for name in sorted(preview.drift, key=natural)},
    )


def _place(rule: str) -> int:
    return _RULES_FIRST.index(rule) if rule in _RULES_FIRST else len(_RULES_FIRST)


def sorted_changes(changes: Iterable[Change], about: About) -> tuple[Change, ...]:
    """What is read first, then what needs review."""

    def place(change: Change) -> tuple[object, ...]:
        found = rows(change, about)
        first = not FIRST.isdisjoint(row.id for row in found)
        return not first, not any(row.review for row in found), change.type, natural(change.name), change.operation

    return tuple(sorted(changes, key=place))


def natural(text: str) -> tuple[tuple[int, str], ...]:
    """A key by which `n-10` comes after `n-9`."""
    parts = [(int(number[:18]), "") if number else (-1, word) for number, word in _PIECES.findall(text)]
    return (*parts, (-2, text))
