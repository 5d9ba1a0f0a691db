"""Why somebody has to look at a preview: the classes of change that the table of `rows` marks, and whose they are."""

from collections.abc import Iterator

from stacks.catalogue import HOST
from stacks.preview import risk
from stacks.preview.model import Change, Inside, Preview
from stacks.preview.rows import FIRST, SHARED, About, rows


def reasons(preview: Preview) -> dict[str, tuple[str, ...]]:
    """By reason, what weighs most first: the nodes, shared resources or rules that it is about."""
    found: dict[str, dict[str, None]] = {}
    first: set[str] = set()

    def note(reason: str, name: str, weighs: bool = False) -> None:
        found.setdefault(reason, {})[name] = None
        if weighs:
            first.add(reason)

    def noted(change: Change, about: About, name: str) -> None:
        for row in rows(change, about):
            if row.review:
                note(row.what, name, row.id in FIRST)

    for finding in preview.findings:
        if not finding.waived:
            refuses = finding.level == "error"
            note("a finding refuses the change" if refuses else "a finding asks for it", finding.rule, weighs=True)
    for node in preview.nodes:
        if node.touches_signer:
            note("a signer is touched", node.name, weighs=True)
        for change in node.changes:
            noted(change, risk.about(node), node.name)
        for reason in _inside(node.inside):
            note(reason, node.name)
    for change in preview.shared:
        noted(change, SHARED, change.name)
    for name, lines in preview.drift.items():
        if lines:
            note("something is not as the last update left it", name, weighs=True)
    order = sorted(found, key=lambda reason: reason not in first)
    return {reason: tuple(found[reason]) for reason in order}


def _inside(inside: Inside | None) -> Iterator[str]:
    if inside is None:
        return
    if inside.how == "unknown":
        yield "what would change inside the host is not known"
    elif not inside.complete:
        yield "the look inside the host did not get through"
    if any(task.role == HOST for task in inside.tasks):
        yield "the users, SSH or firewall of the host itself would change"
