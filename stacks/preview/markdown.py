"""A preview as a comment on a pull request: pure, and the same bytes for the same preview.

What decides stands first and is never cut: verdict, table, findings. Details follow, as many as there is room for.
"""

import re
from collections.abc import Iterable, Iterator, Sequence

from stacks.preview import risk
from stacks.preview.escape import block, code, html, prose
from stacks.preview.model import Change, Finding, Inside, Node, Preview, Verdict
from stacks.preview.words import FOLLOWS, TYPES, VERBS, count, kind_of

_MARK = "<!-- stakeyard-preview:"
LIMIT = 60_000
"""Characters; GitHub takes 65,536 in a comment."""
_TABLE = 22_000
_FINDINGS = 12_000
_NOTES = 5_000
_ROW_CHANGES = 160
_DIFF = 4_000
_PART = 10_000
_VALUE = 160
_MOST_IN_A_ROW = 6
_VERDICTS = {
    Verdict.SAFE: "**Safe**",
    Verdict.REVIEW: "**Needs review**",
    Verdict.REFUSED: "**Refused by policy**",
    Verdict.FAILED: "**Failed**",
}
_CLOUDS = {
    "asked": "The cloud was asked: this is against what is there now.",
    "recorded": "The cloud was not asked: this is against the recorded state.",
    "mocked": "**Mocked cloud**: no cloud and no state were asked; this is what the change would do to a fleet that is "
    "exactly as its base says.",
}


def marker(stack: str) -> str:
    """The comment's first line, by which it is found again."""
    return f"{_MARK}{re.sub('[^A-Za-z0-9_.]+', '-', stack).strip('-')} -->"


def render(preview: Preview) -> str:
    """The whole comment, at most `LIMIT` characters."""
    preview = risk.ordered(preview)
    parts = [summary(preview), findings(preview.findings), drift(preview), notes(preview.notes)]
    text = "\n\n".join(part for part in parts if part)
    first, _, rest = fill(text, list(details(preview))).partition("\n")
    # Whoever looks for a comment by its marker must not find one that somebody's text holds.
    return f"{first}\n{rest.replace(_MARK, _MARK.replace(':', ';'))}\n"


def failure(stack: str, sentence: str) -> str:
    """The comment of a preview that there is not, because of one sentence."""
    head = f"{marker(stack)}\n### Preview of {code(stack)}: {_VERDICTS[Verdict.FAILED]}"
    return f"{head}\n\n{prose(sentence, begins=True)}\n\nNothing was previewed, and no policy was judged.\n"


def summary(preview: Preview) -> str:
    """Verdict and table."""
    base = {"state": "what is deployed", "nothing": "nothing: all of it is new"}.get(preview.base) or code(preview.base)
    head = f"{marker(preview.stack)}\n### Preview of {code(preview.stack)}: {_VERDICTS[risk.verdict(preview)]}"
    lines = [head, verdict_line(preview), f"{_CLOUDS[preview.cloud]} Compared with {base}."]
    changed = [node for node in preview.nodes if node.changes or node.inside]
    if changed:
        lines.append(table(changed))
    return "\n\n".join(lines)


def verdict_line(preview: Preview) -> str:
    """One line that says what is at stake."""
    broken = sum(f.level == "error" and not f.waived for f in preview.findings)
    warned = sum(f.level == "warning" and not f.waived for f in preview.findings)
    changed = [node for node in preview.nodes if node.changes or node.inside]
    replaced = sum(node.replaced for node in changed)
    signers = sum(node.touches_signer for node in changed)
    facts = [
        (broken, f"{count(broken, 'policy', 'policies')} broken"),
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


def named(names: Sequence[str]) -> str:
    shown = ", ".join(code(name, 60) for name in names[:_MOST_IN_A_ROW])
    rest = len(names) - _MOST_IN_A_ROW
    return f"{shown} and {rest:,} more" if rest > 0 else shown


def cells(node: Node) -> tuple[str, str, str, str]:
    """What a row says of a node."""
    replaced = "**yes**" if node.replaced else "no"
    if node.replaced and any(c.operation == "delete" and kind_of(c) == "server" for c in node.changes):
        replaced = "**deleted**"
    return what(node), replaced, "**yes**" if node.touches_signer else "no", prose(node.downtime) or "none"


def what(node: Node) -> str:
    """The kinds of change in a few words, such as `replace server, host key; change software`."""
    verbs: dict[str, dict[str, None]] = {}
    for change in node.changes:
        verbs.setdefault(VERBS[change.operation], {})[kind_of(change)] = None
    text = "; ".join(f"{verb} {', '.join(kinds)}" for verb, kinds in verbs.items())
    if node.inside and node.inside.tasks:
        text += f"; {count(len(node.inside.tasks), 'task')} inside"
    if any(c.operation == "create" and kind_of(c) == "server" for c in node.changes):
        text = f"new node: {text}"
    return prose(text if len(text) <= _ROW_CHANGES else f"{text[:_ROW_CHANGES]}...")


def findings(found: Sequence[Finding]) -> str:
    """What the policies say, those that refuse first; waived ones last."""
    if not found:
        return ""
    lines = ["#### Policies", ""]
    room, left = _FINDINGS, 0
    for each in found:
        level = "waived" if each.waived else each.level
        waiver = f" *Waived: {prose(each.waived)}.*" if each.waived else ""
        line = f"- **{level}** {code(each.rule)} {code(each.key)}: {prose(each.sentence)}{waiver}"
        room -= len(line) + 1
        if room >= 0:
            lines.append(line)
        else:
            left += 1
    if left:
        lines.append(f"- {count(left, 'more finding')} in `preview.json`")
    return "\n".join(lines)


def drift(preview: Preview) -> str:
    """What is not as it was left, by node."""
    lines = [f"- {code(name)}: {prose(line)}" for name, told in preview.drift.items() for line in told]
    return "\n".join(["#### Drift", "", *_fitting(lines, _FINDINGS, "line")]) if lines else ""


def notes(told: Sequence[str]) -> str:
    """What the reader must know of how the preview was made."""
    lines = [f"- {prose(note, begins=True)}" for note in told]
    return "\n".join(["#### Notes", "", *_fitting(lines, _NOTES, "note")]) if lines else ""


def _fitting(lines: Sequence[str], room: int, what_they_are: str) -> list[str]:
    kept: list[str] = []
    for line in lines:
        room -= len(line) + 1
        if room < 0:
            break
        kept.append(line)
    left = len(lines) - len(kept)
    return [*kept, f"- {count(left, f'more {what_they_are}')} in `preview.json`"] if left else kept


def details(preview: Preview) -> Iterator[str]:
    """A folded part for what nodes share and for each node, in the order of the preview."""
    shared = folded("What nodes share", preview.shared, None)
    urgent = any(risk.needs_review(change) for change in preview.shared)
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
        lines.append(f"- **{verb}** {prose(kind)} {named(names)}")
        lines += differences
    return "\n".join(_fitting(lines, _PART, "line"))


def _differences(change: Change) -> Iterator[str]:
    if change.type in FOLLOWS:
        return
    if change.operation == "create" and change.type in TYPES:
        told = [d for d in change.differences if d.path in ("name", "flavorName", "size", "volumeType", "description")]
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
