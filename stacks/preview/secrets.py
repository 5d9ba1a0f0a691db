"""Hides what may be a secret from every text of a preview, and says what it hid.

It is the last guard before a report, not the first: Pulumi's secrets come masked, and whoever looks into hosts blots
what the roles call secret. It errs on the side of hiding. What chains and artifacts publish (addresses, public keys,
digests) stays readable where its field or its form shows that it is public.
"""

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from itertools import pairwise

from stacks.preview.model import Change, Difference, Finding, Inside, Level, Node, Preview, Task
from stacks.preview.secret_lines import HIDDEN, without_named
from stacks.preview.secret_patterns import (
    ENTROPY_BITS,
    FIELD,
    HEX,
    HEXADECIMAL,
    NAME_IS_PUBLIC,
    NAME_IS_SECRET,
    NAMED_PATTERNS,
    PATTERNS,
    PRIVATE_KEY_FIELD,
    PUBLIC_FIELD,
    PUBLIC_HEX,
    PUBLIC_TOKENS,
    RANDOM,
    TOKEN,
    UUID,
    Pattern,
    harmless,
)

__all__ = ["HIDDEN", "Scrubber", "scrub", "scrubbed"]


def scrub(text: str, field: str = "", found: Callable[[Pattern], None] | None = None) -> str:
    """The text without what may be a secret; `field` is the name of what it is the value of.

    `found` is told each kind that was hidden.
    """
    clean, hidden = _scrub(text, field)
    for pattern in hidden if found else ():
        assert found  # noqa: S101 - the loop is empty without it
        found(pattern)
    return clean


_COMMIT = re.compile("[0-9a-f]{7,40}")


@lru_cache(maxsize=1 << 16)
def _scrub(text: str, field: str) -> tuple[str, tuple[Pattern, ...]]:
    """Nodes of one fleet repeat each other: most texts are there many times."""
    hidden: list[Pattern] = []
    if not text:
        return text, ()
    if _is_secret_name(field) and not harmless(field, text):
        return HIDDEN, (FIELD,)
    text = _without(PATTERNS, text, hidden.append)
    text = without_named(text, lambda: hidden.append(NAMED_PATTERNS[0]))
    text = _without(NAMED_PATTERNS, text, hidden.append)
    lines = [_without_random(line, field, hidden.append) for line in text.split("\n")]
    return "\n".join(lines), tuple(hidden)


def _without(patterns: Iterable[Pattern], text: str, hide: Callable[[Pattern], None]) -> str:
    for pattern in patterns:
        text = pattern.regex.sub(partial(_hidden, pattern=pattern, hide=hide), text)
    return text


def _is_secret_name(name: str) -> bool:
    last = re.split(r"[.\[]", name.replace(HIDDEN, "").rstrip("]"))[-1] if name else ""
    return bool(NAME_IS_SECRET.search(last)) and not NAME_IS_PUBLIC.search(last)


def _hidden(match: re.Match[str], pattern: Pattern, hide: Callable[[Pattern], None]) -> str:
    groups = match.groupdict()
    if "secret" not in groups:
        hide(pattern)
        return HIDDEN
    value, name = groups["secret"], groups.get("name", "")
    # Without its last bracket where the pattern ends before one.
    if value.strip("\"'").startswith(HIDDEN[:-1]) or NAME_IS_PUBLIC.search(name):
        return match.group()
    if not pattern.certain and harmless(name, value):
        return match.group()
    hide(pattern)
    start, end = match.start("secret") - match.start(), match.end("secret") - match.start()
    return match.group()[:start] + HIDDEN + match.group()[end:]


def _without_random(line: str, field: str, hide: Callable[[Pattern], None]) -> str:
    public = [m.span() for regex in (PUBLIC_TOKENS, UUID) for m in regex.finditer(line)]
    public += [m.span() for m in PUBLIC_HEX.finditer(line) if not _of_a_key(_before(line, m.start(), field, ":"))]

    def look(match: re.Match[str]) -> str:
        if any(start <= match.start() and match.end() <= end for start, end in public):
            return match.group()
        token = match.group()
        before = _before(line, match.start(), field, " ")
        named = _named_public(before) or _named_public(f"{field} ")
        if HEX.fullmatch(token.strip("=-_")):
            if named:
                return token
            hide(HEXADECIMAL)
            return HIDDEN
        if named or not _random(token):
            return token
        hide(RANDOM)
        return HIDDEN

    return TOKEN.sub(look, line)


_NEAR = 200
"""Characters before a value that may say what it is."""


def _before(line: str, start: int, field: str, sign: str) -> str:
    return f"{field}{sign}" if start == 0 else line[max(0, start - _NEAR) : start]


def _of_a_key(before: str) -> bool:
    """Whether the text before a value ends with the name of a key that is not a public one."""
    return bool(PRIVATE_KEY_FIELD.search(before)) and not _named_public(before)


def _named_public(before: str) -> bool:
    """Whether the text before a value ends with the name of a public field."""
    ends = [match.end() for match in PUBLIC_FIELD.finditer(before)]
    return bool(ends) and len(before) - ends[-1] <= 4


def _random(token: str) -> bool:
    """Whether nobody would have written such a token by hand."""
    plain = token.strip("=-_+/")
    kinds = sum(bool(re.search(each, plain)) for each in ("[a-z]", "[A-Z]", "[0-9]"))
    longest = max(map(len, re.split(r"[-_/+]", plain)))
    mixed = kinds >= 2 and _changes(plain) >= 0.2
    if longest >= 16:
        return mixed and entropy(plain) >= ENTROPY_BITS
    # Words with something between them, or a random text that happens to have such characters.
    return mixed and kinds == 3 and len(plain) >= 30 and entropy(plain) >= ENTROPY_BITS + 0.7


def _changes(token: str) -> float:
    """How often two neighbours are of different kinds: seldom in words, often in random text."""
    kinds = ["d" if c.isdigit() else "u" if c.isupper() else "l" for c in token if c.isalnum()]
    return sum(a != b for a, b in pairwise(kinds)) / max(1, len(kinds) - 1)


def entropy(text: str) -> float:
    """Bits a character."""
    total = len(text)
    return -sum(n / total * math.log2(n / total) for n in Counter(text).values())


@dataclass
class Scrubber:
    """Scrubs a preview and remembers where it hid what."""

    hidden: set[tuple[str, str, Level]]

    def text(self, text: str, place: str, field: str = "", *, written: bool = False) -> str:
        """One text of the preview; `place` is how a reader finds it, `written` that somebody wrote it by hand."""

        def found(pattern: Pattern) -> None:
            if pattern.certain:
                self.hidden.add((place, pattern.kind, "error"))
            elif written and pattern.by_name:
                self.hidden.add((place, pattern.kind, "warning"))

        return scrub(text, field, found)

    def change(self, change: Change) -> Change:
        """A change, with its name and differences."""
        place = f"{change.type}::{change.name}"
        return replace(
            change,
            type=self.text(change.type, place),
            name=self.text(change.name, place),
            node=None if change.node is None else self.text(change.node, place),
            differences=tuple(self.difference(each, place) for each in change.differences),
        )

    def difference(self, difference: Difference, place: str) -> Difference:
        """One property."""
        return replace(
            difference,
            path=self.text(difference.path, place),
            before=self.text(difference.before, place, difference.path),
            after=self.text(difference.after, place, difference.path),
        )

    def inside(self, inside: Inside, place: str) -> Inside:
        """What would change inside a host."""
        return replace(
            inside,
            reason=self.text(inside.reason, place),
            tasks=tuple(
                Task(
                    self.text(task.role, place),
                    self.text(task.name, place),
                    self.text(task.diff, f"{place}: {task.role}: {task.name}", written=True),
                )
                for task in inside.tasks
            ),
        )

    def node(self, node: Node) -> Node:
        """A node's part."""
        return replace(
            node,
            name=self.text(node.name, node.name),
            kind=self.text(node.kind, node.name),
            changes=tuple(map(self.change, node.changes)),
            inside=None if node.inside is None else self.inside(node.inside, node.name),
            downtime=self.text(node.downtime, node.name),
        )

    def finding(self, finding: Finding) -> Finding:
        """What a policy says."""
        place = f"policy {finding.rule}"
        return replace(
            finding,
            rule=self.text(finding.rule, place),
            key=self.text(finding.key, place),
            sentence=self.text(finding.sentence, place),
            node=None if finding.node is None else self.text(finding.node, place),
            waived=self.text(finding.waived, place),
        )


def scrubbed(preview: Preview) -> Preview:
    """The preview without what may be a secret, with a finding for each place where something was hidden that is a
    secret, or that somebody wrote under a secret's name.

    Scrubbing twice is scrubbing once.
    """
    hide = Scrubber(set())
    clean = replace(
        preview,
        stack=hide.text(preview.stack, "the stack's name"),
        base=preview.base if _COMMIT.fullmatch(preview.base) else hide.text(preview.base, "the base"),
        nodes=tuple(map(hide.node, preview.nodes)),
        shared=tuple(map(hide.change, preview.shared)),
        findings=tuple(map(hide.finding, preview.findings)),
        notes=tuple(hide.text(note, "a note") for note in preview.notes),
        drift={
            hide.text(name, "drift"): tuple(hide.text(line, f"drift of {name}") for line in lines)
            for name, lines in preview.drift.items()
        },
    )
    return replace(clean, findings=(*clean.findings, *_findings(hide.hidden)))


SENTENCES: Mapping[Level, tuple[str, str]] = {
    "error": (
        "plain-secret",
        "a secret stands in it in plain text ({kind}): it counts as known to others, so make a new one, and keep "
        "that as a Pulumi secret or in a file on the control machine.",
    ),
    "warning": (
        "hidden-text",
        "an {kind} was hidden that may be a secret in plain text: look at it in the change itself, and where it is "
        "one, make a new one and keep that as a Pulumi secret.",
    ),
}


def _findings(hidden: Iterable[tuple[str, str, Level]]) -> Iterable[Finding]:
    for place, kind, level in sorted(hidden):
        rule, sentence = SENTENCES[level]
        yield Finding(rule, level, scrub(place), sentence.format(kind=kind))
