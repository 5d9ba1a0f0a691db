"""Why somebody has to look at a preview: the classes of change that the table of `rows` marks, and whose they are."""

from stacks.preview import risk
from stacks.preview.model import Change, Preview
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
        for reason in risk.inside_reasons(node.inside):
            note(reason, node.name)
    for change in preview.shared:
        noted(change, SHARED, change.name)
    for name, lines in preview.drift.items():
        if lines:
            note("something is not as the last update left it", name, weighs=True)
    order = sorted(found, key=lambda reason: reason not in first)
    return {reason: tuple(found[reason]) for reason in order}
