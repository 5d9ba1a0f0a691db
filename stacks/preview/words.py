"""The words that reports have for types of resources, operations and times."""

from collections.abc import Iterable, Mapping, Sequence

from stacks.preview.escape import code
from stacks.preview.model import Change, Operation
from stacks.urns import (
    ATTACHMENT,
    CONVERGENCE,
    FLEET_CHECKS,
    FLOATING_IP,
    FLOATING_IP_ASSOCIATION,
    HOST_KEY,
    IMAGE,
    KEYPAIR,
    NETWORK,
    PORT,
    ROUTER,
    ROUTER_INTERFACE,
    RULE,
    SECURITY_GROUP,
    SERVER,
    SERVER_GROUP,
    STASH,
    SUBNET,
    VOLUME,
)

TYPES: Mapping[str, str] = {
    VOLUME: "volume",
    SERVER: "server",
    KEYPAIR: "login key",
    SERVER_GROUP: "server group",
    ATTACHMENT: "volume attachment",
    IMAGE: "image",
    FLOATING_IP: "floating address",
    FLOATING_IP_ASSOCIATION: "address association",
    NETWORK: "network",
    PORT: "port",
    ROUTER: "router",
    ROUTER_INTERFACE: "router interface",
    SECURITY_GROUP: "security group",
    RULE: "security group rule",
    SUBNET: "subnet",
    STASH: "recorded image",
    CONVERGENCE: "software",
    FLEET_CHECKS: "fleet checks",
    HOST_KEY: "host key",
}
FOLLOWS = (FLEET_CHECKS, HOST_KEY)
"""Types whose changes only repeat those of others: a comment names them and has no details."""
VERBS: Mapping[Operation, str] = {
    "create": "create",
    "update": "change",
    "replace": "replace",
    "delete": "delete",
    "unprotect": "lift the protection of",
}


def kind_of(change: Change) -> str:
    """A word for the resource's type."""
    return TYPES.get(change.type, change.type.rpartition(":")[2])


def duration(seconds: int) -> str:
    """Roughly this long.

    >>> duration(45), duration(300), duration(7260)
    ('45 s', '5 min', '2 h')
    """
    if seconds < 120:
        return f"{seconds} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{round(minutes / 60)} h"


def count(number: int, one: str, many: str = "") -> str:
    """A number with its noun."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def named(names: Sequence[str], longest: int = 60, most: int = 6) -> str:
    """The first names, each cut after `longest` characters, and how many more there are."""
    shown = ", ".join(code(name, longest) for name in names[:most])
    rest = len(names) - most
    return f"{shown} and {rest:,} more" if shown and rest > 0 else shown or f"{rest:,}"


def in_short(changes: Iterable[Change]) -> str:
    """The kinds of change in a few words, such as `replace server, host key; change software`."""
    verbs: dict[str, dict[str, None]] = {}
    for change in changes:
        verbs.setdefault(VERBS[change.operation], {})[kind_of(change)] = None
    return "; ".join(f"{verb} {', '.join(kinds)}" for verb, kinds in verbs.items())


def fitting(lines: Sequence[str], room: int, what_they_are: str) -> list[str]:
    """As many of the lines as fit, and one that says how many did not."""
    kept: list[str] = []
    for line in lines:
        room -= len(line) + 1
        if room < 0:
            break
        kept.append(line)
    left = len(lines) - len(kept)
    return [*kept, f"- {count(left, f'more {what_they_are}')} in `preview.json`"] if left else kept
