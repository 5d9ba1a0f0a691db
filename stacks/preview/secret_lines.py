"""Secrets that stand behind their name or on the lines below it, in files and in diffs of files."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from stacks.preview.secret_patterns import NAME_IS_PUBLIC, NAMED_LINE, harmless

HIDDEN = "[secret]"
"""What stands where a secret was; Pulumi's own word for it."""

_LEAD = re.compile(r"[-+\s]*")
"""Indentation, with the marks of diffs and lists, which stand where it would."""
_COMMENTED = re.compile(r"[-+\s]*[#;][-+#;\s]*")
"""The same of a line that is a comment."""
_HEADER = re.compile(r"(?:---|\+\+\+|@@) ")
_BLOCK = re.compile(r"(?:[!&]\S+\s+)*[|>][-+0-9]*(?:\s+#.*)?")
"""What says in YAML that a text follows, all of it, on the lines below."""
_INNER_NAME = re.compile(r"(?:\[?\{\s*)?[\"']?[\w.-]+[\"']?\s*[:=](?:\s|$)")
_COMMENT = re.compile(r"(?:^|\s)#.*$")
_QUOTED = re.compile(r"([\"'])(.*?)\1[\s,\]})]*(?:\s#.*)?")


def without_named(text: str, hide: Callable[[], None]) -> str:
    """The text without the values of lines that begin with a secret's name, down to where the indentation ends.

    A text of one line is a sentence, of which nobody could say where the value ends: it stays as it is.
    """
    return "\n".join(_lines(text.split("\n"), hide)) if "\n" in text else text


def _lines(lines: list[str], hide: Callable[[], None]) -> Iterator[str]:
    below: _Name | None = None
    for line in lines:
        lead = below.lead_of(line) if below else -1
        if below and (lead > below.lead or lead == len(line)) and not _HEADER.match(line):
            if below.owns(line, lead):
                yield line[:lead] + _value(below.name, line[lead:], hide, whole=below.whole)
                continue
            if line[lead] == "#":
                yield line
                continue
        commented = _COMMENTED.match(line)
        lead = (commented or _LEAD.match(line)).end()  # type: ignore[union-attr]
        named = NAMED_LINE.match(line, lead)
        below = None
        if named is None or NAME_IS_PUBLIC.search(named["name"]):
            yield line
            continue
        value = named["value"].strip()
        if value[:1] in ("[", "{") and _INNER_NAME.match(value):
            yield line
            continue
        shown, whole = _value(named["name"], value, hide), bool(_BLOCK.fullmatch(value)) or _unclosed(value)
        if whole or shown == HIDDEN or _bare(value) in ("", "[", "{", "("):
            below = _Name(named["name"], lead, bool(commented), whole)
        yield line if shown == value else line[: line.index(value, named.start("value"))] + shown


@dataclass(frozen=True)
class _Name:
    """A secret's name whose value goes on below, or begins there."""

    name: str
    lead: int
    commented: bool
    whole: bool
    """Whether all that is below belongs to the value; if not, lines with names of their own and comments do not."""

    def lead_of(self, line: str) -> int:
        """Where the text of a line begins, as seen from this name."""
        found = (self.commented and _COMMENTED.match(line)) or _LEAD.match(line)
        return found.end() if found else 0

    def owns(self, line: str, lead: int) -> bool:
        """Whether a line that stands below the name belongs to its value."""
        return self.whole or not (line[lead : lead + 1] == "#" or _INNER_NAME.match(line, lead))


def _value(name: str, value: str, hide: Callable[[], None], *, whole: bool = False) -> str:
    """What is shown of a value; in a `whole` text nothing is a comment."""
    bare = value.strip() if whole else _bare(value)
    for told in (bare, bare.rstrip(",]})").strip()):
        if told.strip("\"'") == HIDDEN or harmless(name, told):
            return value
    hide()
    return HIDDEN


def _bare(value: str) -> str:
    """The value without a comment behind it, and without its quotes."""
    quoted = _QUOTED.fullmatch(value)
    if quoted:
        return quoted[2]
    return value.strip() if value[:1] in ("'", '"') else _COMMENT.sub("", value).strip()


def _unclosed(value: str) -> bool:
    """Whether it is a text in quotes that ends on another line."""
    return value[:1] in ("'", '"') and value.count(value[0]) % 2 == 1
