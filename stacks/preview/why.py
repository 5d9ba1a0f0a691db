"""Why somebody has to look at a preview: the classes of change that the table of `risk` marks, and whose they are."""

from stacks.catalogue import HOST
from stacks.preview import risk
from stacks.preview.model import Preview
from stacks.preview.risk import About


def reasons(preview: Preview) -> dict[str, tuple[str, ...]]:
    """By reason, in the order in which they are met: the nodes or shared resources that it is about."""
    found: dict[str, dict[str, None]] = {}

    def note(reason: str, name: str) -> None:
        found.setdefault(reason, {})[name] = None

    for node in preview.nodes:
        for change in node.changes:
            for row in risk.rows(change, About(node.signs)):
                if row.review:
                    note(row.what, node.name)
        if node.touches_signer:
            note("a signer is touched", node.name)
        if node.inside and node.inside.how == "unknown":
            note("what would change inside the host is not known", node.name)
        if node.inside and any(task.role == HOST for task in node.inside.tasks):
            note("the users, SSH or firewall of the host itself would change", node.name)
    for change in preview.shared:
        for row in risk.rows(change, About()):
            if row.review:
                note(row.what, change.name)
    for name, lines in preview.drift.items():
        if lines:
            note("something is not as the last update left it", name)
    return {reason: tuple(names) for reason, names in found.items()}
