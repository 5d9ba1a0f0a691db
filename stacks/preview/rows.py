"""What changes mean: one table, the one of docs/preview.md.

Each row of `ROWS` says which changes it is about and what they mean; all rows that match a change hold. A change that
no row knows needs review.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from stacks.preview import opened
from stacks.preview.model import PROTECT, Change
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

Down = Literal["", "restart", "server", "address", "data", "end"]
"""What a change costs: nothing, a restart of the service, a new server, its address, a volume's data, or the node."""

_KEPT = (FLOATING_IP, PORT)
"""What others know a node by."""
_ADDRESSES = (*_KEPT, FLOATING_IP_ASSOCIATION)
_FIREWALL = (SECURITY_GROUP, RULE)
_SITE = (KEYPAIR, SERVER_GROUP, NETWORK, ROUTER, ROUTER_INTERFACE, SUBNET, STASH)
_HOST_FIREWALL = frozenset({"stakeyard_ports", "stakeyard_egress", "stakeyard_operator_ranges"})
"""Variables of which a host's firewall is made."""
_HARMLESS = frozenset({"stakeyard_peers", "stakeyard_volumes"})
"""Variables that say where other nodes of the fleet and the node's own volumes are, and how large these are."""
FIRST = frozenset({"firewall", "host-firewall", "protected", "unprotected", "keys", "address-lost", "volume-lost"})
"""Rows whose changes are read first."""


@dataclass(frozen=True)
class About:
    """What a row may know of the node that a change belongs to."""

    signs: bool = False
    key_volume: str = ""
    """Pulumi's name of the volume with its keys; empty for a node that does not sign, and where it is not known."""
    new: bool = False
    """Whether there is nothing of the node yet."""


SHARED = About()
"""Of what nodes share, nothing is known."""


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
    return bool(about.key_volume) and change.type in (VOLUME, ATTACHMENT) and change.name == about.key_volume


def _only_grows(change: Change) -> bool:
    return {difference.path for difference in change.differences} == {"size"}


def _new(types: str | tuple[str, ...]) -> Callable[[Change, About], bool]:
    made = _of(types, "create")
    return lambda change, about: about.new and made(change, about)


def _added(types: str | tuple[str, ...]) -> Callable[[Change, About], bool]:
    made = _of(types, "create")
    return lambda change, about: not about.new and made(change, about)


def _again(change: Change) -> Iterator[str]:
    """What differs of software that is there already."""
    if change.type == CONVERGENCE and change.operation != "create":
        yield from (difference.path for difference in change.differences)


def _variables(change: Change) -> set[str]:
    """The variables that differ; an empty name where they are masked, so that nobody can say which they are."""
    parts = (re.split(r"[.\[]", path) for path in _again(change))
    return {part[1] if part[1:] else "" for part in parts if part[0] == "variables"}


def _opens_host(change: Change, _about: About) -> bool:
    return opened.PATH in _again(change) or not _HOST_FIREWALL.isdisjoint(_variables(change))


def _other_roles(change: Change, _about: About) -> bool:
    return "roles_digest" in _again(change)


def _sets(change: Change, _about: About) -> bool:
    return bool(_variables(change) - _HOST_FIREWALL - _HARMLESS)


def _unprotects(change: Change, _about: About) -> bool:
    return any((each.path, each.before) == (PROTECT, "true") for each in change.differences)


ROWS = (
    Row("server-new", "a server is made for a new node", _new(SERVER), review=False, signer=True),
    Row(
        "server-again",
        "a server is made for a node that is there",
        _added(SERVER),
        review=True,
        signer=True,
        down="server",
    ),
    Row("server-replaced", "a server is replaced", _of(SERVER, "replace"), review=True, signer=True, down="server"),
    Row("server-gone", "a server is deleted", _of(SERVER, "delete"), review=True, signer=True, down="end"),
    Row("server-changed", "a server is changed in place", _of(SERVER, "update"), review=True, signer=True),
    Row("keys", "a key volume or its attachment, whatever is done to it", _keys, review=True, signer=True),
    Row("volume-new", "a volume is made for a new node", _new(VOLUME), review=False),
    Row("volume-again", "a volume is made for a node that is there", _added(VOLUME), review=True),
    Row("volume-lost", "a volume is replaced or deleted", _of(VOLUME, "replace", "delete"), review=True, down="data"),
    Row(
        "volume-grows",
        "nothing but the size of a volume is changed",
        lambda change, about: _of(VOLUME, "update")(change, about) and _only_grows(change),
        review=False,
    ),
    Row(
        "volume-changed",
        "something of a volume other than its size is changed",
        lambda change, about: _of(VOLUME, "update")(change, about) and not _only_grows(change),
        review=True,
    ),
    Row("attached", "a volume is attached that was not", _of(ATTACHMENT, "create"), review=False),
    Row(
        "attachment",
        "a volume is attached elsewhere or no more",
        _of(ATTACHMENT, "update", "replace", "delete"),
        review=True,
        down="restart",
    ),
    Row("address-new", "a port or a floating address is made for a new node", _new(_ADDRESSES), review=False),
    Row(
        "address-again",
        "a port or a floating address is made for a node that is there",
        _added(_ADDRESSES),
        review=True,
    ),
    Row(
        "address",
        "a port or a floating address is changed, or a floating address is associated anew or no more",
        lambda change, about: (
            _of(_KEPT, "update")(change, about)
            or _of(FLOATING_IP_ASSOCIATION, "update", "replace", "delete")(change, about)
        ),
        review=True,
        down="restart",
    ),
    Row(
        "address-lost",
        "a port or a floating address is replaced or deleted",
        _of(_KEPT, "replace", "delete"),
        review=True,
        down="address",
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
    Row("image", "an image is uploaded or deleted", _of(IMAGE), review=False),
    Row("software-new", "the roles are applied to a new node", _new(CONVERGENCE), review=False, signer=True),
    Row(
        "software-again",
        "the roles are applied to a node that is there as if it were new",
        _added(CONVERGENCE),
        review=True,
        signer=True,
        down="restart",
    ),
    Row(
        "software",
        "the roles are applied again",
        _of(CONVERGENCE, "update"),
        review=False,
        signer=True,
        down="restart",
    ),
    Row(
        "roles",
        "a file of the node's roles is changed: tasks, templates, checks, pinned releases or any other",
        _other_roles,
        review=True,
    ),
    Row(
        "settings",
        "a variable of the roles is changed (those of peers and volumes apart), or one that nobody can see",
        _sets,
        review=True,
    ),
    Row(
        "software-moves",
        "the node is retired where it is, and its roles are applied to another server",
        _of(CONVERGENCE, "replace"),
        review=True,
        signer=True,
    ),
    Row("software-gone", "the node is retired", _of(CONVERGENCE, "delete"), review=True, signer=True),
    Row("host-key", "the pinned host key follows its server", _of(HOST_KEY), review=False),
    Row("checks", "the checks of several nodes together run", _of(FLEET_CHECKS), review=False),
    Row("unprotected", "the protection of something is lifted", _unprotects, review=True),
    Row(
        "protected",
        "something protected is replaced or deleted (Pulumi refuses, until the protection is lifted)",
        lambda change, _about: change.protected and change.operation in ("replace", "delete"),
        review=True,
    ),
)
UNKNOWN = Row(
    "unknown", "something that this preview has no rule for", lambda _change, _about: True, review=True, signer=True
)


def rows(change: Change, about: About) -> tuple[Row, ...]:
    """The rows that hold for a change."""
    return tuple(row for row in ROWS if row.matches(change, about)) or (UNKNOWN,)
