"""What a reader of a comment must see first: why somebody has to look, and what firewalls would let through. Pure."""

import re
from dataclasses import dataclass, field

from stacks.preview import opened
from stacks.preview.escape import code, prose
from stacks.preview.model import Preview
from stacks.preview.risk import natural
from stacks.preview.why import reasons
from stacks.preview.words import fitting, in_short, kind_of, named
from stacks.urns import RULE

_REVIEW = 8_000
_FIREWALL = 8_000
_LONGEST_PASSAGE = 120
_NETWORK = ("network", "subnet", "router", "router interface")
_EVERYONE = re.compile(r"(0\.0\.0\.0|::)/0$")
_RULE_NAME = re.compile(r"-(?:in|e)gress-")


@dataclass
class Passage:
    """Where firewalls would open, or close, for the same."""

    groups: dict[str, None] = field(default_factory=dict)
    """Security groups of the cloud."""
    hosts: dict[str, None] = field(default_factory=dict)

    def __str__(self) -> str:
        """Where it is."""
        cloud = f"security group {named(tuple(self.groups))}" if self.groups else ""
        hosts = f"host {named(tuple(self.hosts))}" if self.hosts else ""
        return "; ".join(filter(None, (cloud, hosts)))


def review(preview: Preview) -> str:
    """Every reason for a review. Where there is little room, names give way, and never a reason."""
    found = reasons(preview)
    if not found:
        return ""
    lines: list[str] = []
    for most in (6, 1, 0):
        lines = [f"- {prose(reason)}: {named(names, most=most)}" for reason, names in found.items()]
        if sum(map(len, lines)) <= _REVIEW:
            break
    return "\n".join(["#### What needs review", "", *lines])


def firewall(preview: Preview) -> str:
    """What would be opened, to everyone first, then what would be closed."""
    found = passages(preview)
    order = sorted(found, key=lambda key: (not key[0], not _EVERYONE.search(key[1]), natural(key[1])))
    lines = [
        f"- **{'opens' if opens else 'closes'}** {code(text, _LONGEST_PASSAGE)}: {found[opens, text]}"
        for opens, text in order
    ]
    return "\n".join(["#### Firewall", "", *fitting(lines, _FIREWALL, "passage")]) if lines else ""


def passages(preview: Preview) -> dict[tuple[bool, str], Passage]:
    """By whether it is opened, and what: where."""
    found: dict[tuple[bool, str], Passage] = {}
    for change in (*preview.shared, *(change for node in preview.nodes for change in node.changes)):
        for each in change.differences:
            if each.path != opened.PATH:
                continue
            for opens, text in ((False, each.before), (True, each.after)):
                if text:
                    passage = found.setdefault((opens, text), Passage())
                    where = passage.groups if change.type == RULE else passage.hosts
                    where[_RULE_NAME.split(change.name)[0] if change.type == RULE else change.name] = None
    return found


def network(preview: Preview) -> str:
    """A word on what the table cannot say, as it is by node: the network that all of them share would change."""
    what = in_short(each for each in preview.shared if kind_of(each) in _NETWORK and each.operation != "create")
    if not what:
        return ""
    return f"What all nodes share would change ({what}): how long none of them is reached then, the table does not say."
