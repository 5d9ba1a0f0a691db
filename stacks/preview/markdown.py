"""A preview as a comment on a pull request: pure, and the same bytes for the same preview.

What decides stands first and is never cut: verdict, why it is that, firewalls, table, findings. Details follow, as many
as there is room for.
"""

import re
from collections.abc import Sequence

from stacks.preview import risk
from stacks.preview.decisive import firewall, network, review
from stacks.preview.details import details
from stacks.preview.escape import code, prose
from stacks.preview.model import Finding, Inside, Node, Preview, Verdict
from stacks.preview.told import ALL_ROLES, RELEASES
from stacks.preview.words import count, fitting, in_short, named

_MARK = "<!-- stakeyard-preview:"
LIMIT = 60_000
"""Characters; GitHub takes 65,536 in a comment."""
_TABLE = 16_000
_FINDINGS = 10_000
_DRIFT = 5_000
_NOTES = 4_000
_ROW_CHANGES = 160
_VERDICTS = {
    Verdict.SAFE: "**Safe**",
    Verdict.REVIEW: "**Needs review**",
    Verdict.REFUSED: "**Refused**",
    Verdict.FAILED: "**Failed**",
}
_CLOUDS = {
    "asked": "The cloud was asked: this is against what is there now.",
    "mocked": "**Mocked cloud**: no cloud and no state were asked; this is what the change would do to a fleet that is "
    "exactly as its base says.",
}


def marker(stack: str) -> str:
    """The comment's first line, for who posts it by other means than `ci/publish.py`, which has a marker of its own."""
    return f"{_MARK}{re.sub('[^A-Za-z0-9_.]+', '-', stack).strip('-')} -->"


def render(preview: Preview) -> str:
    """The whole comment, at most `LIMIT` characters."""
    preview = risk.ordered(preview)
    first, _, rest = fill(essential(preview), list(details(preview))).partition("\n")
    # Whoever looks for a comment by its marker must not find one that somebody's text holds.
    return f"{first}\n{rest.replace(_MARK, _MARK.replace(':', ';'))}\n"


def essential(preview: Preview) -> str:
    """All but the details; `preview` is in order."""
    parts = [summary(preview), findings(preview.findings), drift(preview), notes(preview.notes)]
    return "\n\n".join(part for part in parts if part)


def failure(stack: str, sentence: str) -> str:
    """The comment of a preview that there is not, because of one sentence."""
    head = f"{marker(stack)}\n### Preview of {code(stack)}: {_VERDICTS[Verdict.FAILED]}"
    return f"{head}\n\n{prose(sentence, begins=True)}\n\nNothing was previewed, and no policy was judged.\n"


def summary(preview: Preview) -> str:
    """Verdict, why it is that, and table."""
    base = {"state": "what is deployed", "nothing": "nothing: all of it is new"}.get(preview.base) or code(preview.base)
    head = f"{marker(preview.stack)}\n### Preview of {code(preview.stack)}: {_VERDICTS[risk.verdict(preview)]}"
    lines = [head, verdict_line(preview), f"{_CLOUDS[preview.cloud]} Compared with {base}."]
    changed = [node for node in preview.nodes if node.changes or node.inside]
    parts = [*lines, review(preview), firewall(preview), table(changed) if changed else "", network(preview)]
    return "\n\n".join(part for part in parts if part)


def verdict_line(preview: Preview) -> str:
    """One line that says what is at stake."""
    broken = sum(f.level == "error" and not f.waived for f in preview.findings)
    warned = sum(f.level == "warning" and not f.waived for f in preview.findings)
    changed = [node for node in preview.nodes if node.changes or node.inside]
    replaced = sum(node.replaced for node in changed)
    signers = sum(node.touches_signer for node in changed)
    facts = [
        (broken, count(broken, "finding refuses it", "findings refuse it")),
        (len(changed), f"{count(len(changed), 'node')} would change"),
        (replaced, f"{count(replaced, 'server')} replaced or deleted"),
        (signers, f"{count(signers, 'signer')} touched"),
        (len(preview.shared), f"{count(len(preview.shared), 'shared resource')} would change"),
        (sum(map(bool, preview.drift.values())), f"{sum(map(bool, preview.drift.values())):,} drifted"),
        (warned, f"{count(warned, 'warning')}"),
    ]
    told = [text for number, text in facts if number]
    return ", ".join(told) + "." if told else "Nothing would change."


def table(nodes: Sequence[Node]) -> str:
    """One row a node; nodes of which the same is said share one. The most important rows that there is room for."""
    head = [
        "| Node | What changes | Server replaced? | Signer touched? | Downtime expected |",
        "|---|---|---|---|---|",
    ]
    rows: dict[tuple[str, str, str, str], list[str]] = {}
    for node in nodes:
        rows.setdefault(cells(node), []).append(node.name)
    lines, room, left = [], _TABLE, 0
    for said, names in rows.items():
        line = f"| {named(names)} | {' | '.join(said)} |"
        room -= len(line) + 1
        if room >= 0:
            lines.append(line)
        else:
            left += len(names)
    if left:
        lines.append(f"| {count(left, 'more node')} | see `preview.json` | | | |")
    return "\n".join([*head, *lines])


def cells(node: Node) -> tuple[str, str, str, str]:
    """What a row says of a node."""
    replaced = "**yes**" if node.replaced else "no"
    if node.removed:
        replaced = "**deleted**"
    return what(node), replaced, "**yes**" if node.touches_signer else "no", prose(node.downtime) or "none"


def what(node: Node) -> str:
    """What changes of the node and inside its host, in a few words."""
    text = "; ".join(filter(None, (in_short(node.changes), inside_in_short(node.inside))))
    if node.new:
        text = f"new node: {text}"
    return prose(text if len(text) <= _ROW_CHANGES else f"{text[:_ROW_CHANGES]}...")


def inside_in_short(inside: Inside | None) -> str:
    """How much would change inside: tasks where somebody looked, else what goes into the host."""
    if inside is None or not inside.tasks:
        return ""
    if inside.how == "seen":
        return f"{'' if inside.complete else 'at least '}{count(len(inside.tasks), 'task')} inside"
    # The releases stand in a file that is told, too.
    files = {(task.role, task.name) for task in inside.tasks if task.role != ALL_ROLES and task.name != RELEASES}
    what = ["variables"] * any(task.role == ALL_ROLES for task in inside.tasks)
    what += [count(len(files), "file")] * bool(files)
    return f"{' and '.join(what)} {'differs' if what == ['1 file'] else 'differ'} inside" if what else ""


def findings(found: Sequence[Finding]) -> str:
    """What policies and the preview itself object to: what refuses the change first, what is waived last."""
    if not found:
        return ""
    lines = []
    for each in found:
        level = "waived" if each.waived else each.level
        waiver = f" *Waived: {prose(each.waived)}.*" if each.waived else ""
        lines.append(f"- **{level}** {code(each.rule)} {code(each.key)}: {prose(each.sentence)}{waiver}")
    return "\n".join(["#### Findings", "", *fitting(lines, _FINDINGS, "finding")])


def drift(preview: Preview) -> str:
    """What is not as it was left, by node."""
    lines = [f"- {code(name)}: {prose(line)}" for name, told in preview.drift.items() for line in told]
    return "\n".join(["#### Drift", "", *fitting(lines, _DRIFT, "line")]) if lines else ""


def notes(told: Sequence[str]) -> str:
    """What the reader must know of how the preview was made."""
    lines = [f"- {prose(note, begins=True)}" for note in told]
    return "\n".join(["#### Notes", "", *fitting(lines, _NOTES, "note")]) if lines else ""


def fill(text: str, parts: Sequence[str]) -> str:
    """The text with as many of the parts as fit under `LIMIT`, and a line that says how many did not."""
    reserve = 200
    kept = [text, "#### Details"] if any(parts) else [text]
    room = LIMIT - reserve - sum(len(each) + 2 for each in kept)
    left = 0
    for part in parts:
        if not part:
            continue
        if len(part) + 2 <= room:
            kept.append(part)
            room -= len(part) + 2
        else:
            left += 1
    if left:
        kept.append(f"*{count(left, 'part')} left out for want of room: all of it is in `preview.json`.*")
    return "\n\n".join(kept)
