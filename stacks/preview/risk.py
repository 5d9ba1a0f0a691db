"""How risky a preview is: pure, by one table.

Each row of `ROWS` says which changes it is about and what they mean; all rows that match a change hold. A change that
no row knows needs review. The table of docs/preview.md is this one.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from stacks.catalogue import HOST, Downtime
from stacks.preview.model import Change, Inside, Node, Preview, Verdict
from stacks.preview.words import duration

Down = Literal["", "restart", "server", "end", "data"]
"""What a change costs: nothing, a restart of the service, a new server, the node itself, or the data of a volume."""

_SERVER = "openstack:compute/instance:Instance"
_VOLUME = "openstack:blockstorage/volume:Volume"
_ATTACHMENT = "openstack:compute/volumeAttach:VolumeAttach"
_ADDRESSES = (
    "openstack:networking/floatingIp:FloatingIp",
    "openstack:networking/floatingIpAssociate:FloatingIpAssociate",
    "openstack:networking/port:Port",
)
_FIREWALL = ("openstack:networking/secGroup:SecGroup", "openstack:networking/secGroupRule:SecGroupRule")
_SITE = (
    "openstack:compute/keypair:Keypair",
    "openstack:compute/serverGroup:ServerGroup",
    "openstack:networking/network:Network",
    "openstack:networking/router:Router",
    "openstack:networking/routerInterface:RouterInterface",
    "openstack:networking/subnet:Subnet",
    "pulumi:index:Stash",
)
_IMAGE = "openstack:images/image:Image"
_CONVERGENCE = "stakeyard:index:Convergence"
_HOST_KEY = "stakeyard:index:HostKey"
_CHECKS = "stakeyard:index:FleetChecks"
_HOST_FIREWALL = tuple(
    f"variables.{name}" for name in ("stakeyard_ports", "stakeyard_egress", "stakeyard_operator_ranges")
)


@dataclass(frozen=True)
class About:
    """What a row may know of the node that a change belongs to."""

    signs: bool = False
    key_volume: str = ""
    """Pulumi's name of the volume with its keys; empty for a node that does not sign, and where it is not known."""


@dataclass(frozen=True)
class Row:
    """What some changes mean."""

    id: str
    what: str
    """The changes, for people."""
    matches: Callable[[Change, About], bool]
    review: bool
    signer: bool = False
    """Whether such a change of a node that signs touches the signer."""
    down: Down = ""


def _of(types: str | tuple[str, ...], *operations: str) -> Callable[[Change, About], bool]:
    wanted = (types,) if isinstance(types, str) else types
    return lambda change, _about: change.type in wanted and (not operations or change.operation in operations)


def _keys(change: Change, about: About) -> bool:
    return bool(about.key_volume) and change.type in (_VOLUME, _ATTACHMENT) and change.name == about.key_volume


def _only_grows(change: Change) -> bool:
    return {difference.path for difference in change.differences} == {"size"}


def _opens_host(change: Change, _about: About) -> bool:
    paths = (difference.path for difference in change.differences)
    return (
        change.type == _CONVERGENCE
        and change.operation != "create"
        and any(path.startswith(_HOST_FIREWALL) for path in paths)
    )


ROWS = (
    Row("server-new", "a server is made", _of(_SERVER, "create"), review=False, signer=True),
    Row("server-replaced", "a server is replaced", _of(_SERVER, "replace"), review=True, signer=True, down="server"),
    Row("server-gone", "a server is deleted", _of(_SERVER, "delete"), review=True, signer=True, down="end"),
    Row("server-changed", "a server is changed in place", _of(_SERVER, "update"), review=True, signer=True),
    Row("keys", "a key volume or its attachment, whatever is done to it", _keys, review=True, signer=True),
    Row("volume-new", "a volume is made", _of(_VOLUME, "create"), review=False),
    Row("volume-lost", "a volume is replaced or deleted", _of(_VOLUME, "replace", "delete"), review=True, down="data"),
    Row(
        "volume-grows",
        "nothing but the size of a volume is changed",
        lambda change, about: _of(_VOLUME, "update")(change, about) and _only_grows(change),
        review=False,
    ),
    Row(
        "volume-changed",
        "anything else of a volume is changed",
        lambda change, about: _of(_VOLUME, "update")(change, about) and not _only_grows(change),
        review=True,
    ),
    Row("attached", "a volume is attached that was not", _of(_ATTACHMENT, "create"), review=False),
    Row(
        "attachment",
        "a volume is attached elsewhere or no more",
        _of(_ATTACHMENT, "update", "replace", "delete"),
        review=True,
        down="restart",
    ),
    Row("address-new", "a port or a floating address is made", _of(_ADDRESSES, "create"), review=False),
    Row(
        "address",
        "a port, a floating address or its association is changed, replaced or deleted",
        _of(_ADDRESSES, "update", "replace", "delete"),
        review=True,
        down="restart",
    ),
    Row("firewall", "a security group or a rule of one, whatever is done to it", _of(_FIREWALL), review=True),
    Row("host-firewall", "what a host's own firewall lets through is changed", _opens_host, review=True),
    Row("site-new", "a shared part of the site is made", _of(_SITE, "create"), review=False),
    Row(
        "site",
        "network, router, login key, server group or recorded image is changed, replaced or deleted",
        _of(_SITE, "update", "replace", "delete"),
        review=True,
    ),
    Row("image", "an image is uploaded or deleted", _of(_IMAGE), review=False),
    Row("software-new", "the roles are applied to a new node", _of(_CONVERGENCE, "create"), review=False, signer=True),
    Row(
        "software",
        "the roles are applied again",
        _of(_CONVERGENCE, "update"),
        review=False,
        signer=True,
        down="restart",
    ),
    Row(
        "software-moves",
        "the node is retired where it is, and its roles are applied to another server",
        _of(_CONVERGENCE, "replace", "delete"),
        review=True,
        signer=True,
    ),
    Row("host-key", "the pinned host key follows its server", _of(_HOST_KEY), review=False),
    Row("checks", "the checks of several nodes together run", _of(_CHECKS), review=False),
    Row(
        "protected",
        "something protected is replaced or deleted (Pulumi refuses, until the protection is lifted)",
        lambda change, _about: change.protected and change.operation in ("replace", "delete"),
        review=True,
    ),
)
UNKNOWN = Row("unknown", "anything that no other row knows", lambda _change, _about: True, review=True, signer=True)
_PIECES = re.compile("([0-9]+)|([^0-9]+)")
_WORST: Mapping[Down, int] = {"": 0, "restart": 1, "server": 2, "data": 3, "end": 4}


def rows(change: Change, about: About) -> tuple[Row, ...]:
    """The rows that hold for a change."""
    return tuple(row for row in ROWS if row.matches(change, about)) or (UNKNOWN,)


def touches_signer(changes: Iterable[Change], inside: Inside | None, about: About) -> bool:
    """Whether the node signs, and its service, keys, claim or key volume would be touched."""
    if not about.signs:
        return False
    return inside is not None or any(row.signer for change in changes for row in rows(change, about))


def downtime(changes: Iterable[Change], about: About, expected: Downtime | None) -> str:
    """What the node's users must expect, for people; empty where it is nothing.

    A node that is new has no users yet.
    """
    made = list(changes)
    if any(change.type == _SERVER and change.operation == "create" for change in made):
        return ""
    worst: Down = max((row.down for change in made for row in rows(change, about)), key=_WORST.__getitem__, default="")
    if worst == "end":
        return "for good"
    if worst == "data":
        return "until its data is there again"
    if not worst:
        return ""
    words = {"restart": "service restarted", "server": "new server"}[worst]
    if expected is None:
        return f"unknown ({words})"
    return f"about {duration(expected.server if worst == 'server' else expected.restart)} ({words})"


def assessed(node: Node, about: About, expected: Downtime | None) -> Node:
    """The node with what it means for its signer and its users."""
    return replace(
        node,
        touches_signer=touches_signer(node.changes, node.inside, about),
        downtime=downtime(node.changes, about, expected),
    )


def needs_review(change: Change, signs: bool = False) -> bool:
    """Whether somebody has to look at this change; the key volume apart, which `Node.touches_signer` stands for."""
    return any(row.review for row in rows(change, About(signs)))


def node_needs_review(node: Node) -> bool:
    """Whether somebody has to look at this node."""
    return (
        node.touches_signer
        or any(needs_review(change, node.signs) for change in node.changes)
        or (node.inside is not None and _inside_needs_review(node.inside))
    )


def _inside_needs_review(inside: Inside) -> bool:
    # The role of every host is its users, its SSH and its firewall.
    return inside.how == "unknown" or any(task.role == HOST for task in inside.tasks)


def verdict(preview: Preview) -> Verdict:
    """How the preview ends. A waived finding counts for nothing."""
    counted = [finding for finding in preview.findings if not finding.waived]
    if any(finding.level == "error" for finding in counted):
        return Verdict.REFUSED
    if (
        counted
        or any(preview.drift.values())
        or any(node_needs_review(node) for node in preview.nodes)
        or any(needs_review(change) for change in preview.shared)
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
        key=lambda f: (bool(f.waived), f.level != "error", f.rule, natural(f.key), f.sentence),
    )
    return replace(
        preview,
        nodes=tuple(replace(node, changes=sorted_changes(node.changes, node.signs)) for node in nodes),
        shared=sorted_changes(preview.shared),
        findings=tuple(findings),
        notes=tuple(sorted(set(preview.notes))),
        drift={name: tuple(preview.drift[name]) for name in sorted(preview.drift, key=natural)},
    )


def sorted_changes(changes: Iterable[Change], signs: bool = False) -> tuple[Change, ...]:
    """What needs review first."""
    return tuple(sorted(changes, key=lambda c: (not needs_review(c, signs), c.type, natural(c.name))))


def natural(text: str) -> tuple[tuple[int, str], ...]:
    """A key by which `n-10` comes after `n-9`."""
    parts = [(int(number[:18]), "") if number else (-1, word) for number, word in _PIECES.findall(text)]
    return (*parts, (-2, text))
