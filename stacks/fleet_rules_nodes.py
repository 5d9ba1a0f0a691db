"""What a node's kind asks of it: variables, volumes, peers, signing key."""

import re
from collections.abc import Iterator

from stacks.catalogue import Catalogue, Kind, Resolved
from stacks.errors import StakeyardError
from stacks.fleet_models import Fleet, Node
from stacks.fleet_rules_needs import check_needs
from stacks.fleet_text import near, refusal, shown
from stacks.policy.signers import spelling

GIVEN = "stakeyard_"
"""Prefix of the variables that the program itself gives every host."""


def check_kinds(fleet: Fleet, catalogue: Catalogue) -> None:
    """Apply what each node's kind asks for, then what holds between nodes of a kind."""
    for name, node in fleet.nodes.items():
        path = f"nodes.{name}"
        if node.kind not in catalogue.kinds:
            raise refusal(f"{path}.kind", f"{shown(node.kind)} is no kind of node; {near(node.kind, catalogue.kinds)}")
        kind = catalogue.kinds[node.kind]
        for key, value in node.vars.items():
            _variable(f"{path}.vars.{key}", key, value, kind)
        try:
            resolved = catalogue.resolve(node.kind, node.vars)
        except StakeyardError as error:
            raise refusal(f"{path}.vars.{kind.network_variable}", str(error)) from None
        _volumes(path, node, resolved)
    _volume_names(fleet)
    _peers(fleet)
    _uses(fleet, catalogue)
    check_needs(fleet, catalogue)
    _signers(fleet, catalogue)


def _variable(path: str, key: str, value: object, kind: Kind) -> None:
    if key.startswith(GIVEN):
        raise refusal(path, "is set by the program itself; remove it.")
    if key in kind.given:
        raise refusal(path, f"is set by the roles of kind {kind.name} themselves; remove it.")
    options = kind.options
    if key not in options:
        raise refusal(path, f"is not a variable of this kind; {near(key, options)}")
    problem = options[key].problem(value)
    if problem:
        raise refusal(path, problem)


def _volumes(path: str, node: Node, resolved: Resolved) -> None:
    for name, volume in node.volumes.items():
        need = resolved.volumes.get(name)
        if need is None:
            raise refusal(
                f"{path}.volumes.{name}", f"kind {node.kind} has no such volume; {near(name, resolved.volumes)}"
            )
        if volume.size_gib < need.minimum_gib:
            where = f" on {resolved.network}" if resolved.network else ""
            raise refusal(
                f"{path}.volumes.{name}.size_gib",
                f"{volume.size_gib} GiB is too small for {need.holds}{where}; use at least {need.minimum_gib}.",
            )
    for name, need in resolved.volumes.items():
        if need.required and name not in node.volumes:
            raise refusal(f"{path}.volumes.{name}", f"kind {node.kind} requires this volume; add it.")


def _volume_names(fleet: Fleet) -> None:
    """In the cloud a volume is named after its node and itself, so `a-b` + `c` is `a` + `b-c`."""
    taken: dict[str, str] = {}
    for name, node in fleet.nodes.items():
        for key in node.volumes:
            path, made = f"nodes.{name}.volumes.{key}", f"{name}-{key}"
            if made in taken:
                raise refusal(path, f"is named {made} in the cloud, like {taken[made]}; rename one of the nodes.")
            taken[made] = path


def _peers(fleet: Fleet) -> None:
    for name, node in fleet.nodes.items():
        for path, peer in _others(fleet, name, "peers", node.peers):
            if fleet.nodes[peer].kind != node.kind:
                raise refusal(path, f"{peer} is of kind {fleet.nodes[peer].kind}; name peers of kind {node.kind}.")


def _uses(fleet: Fleet, catalogue: Catalogue) -> None:
    for name, node in fleet.nodes.items():
        wanted = catalogue.kinds[node.kind].uses
        for path, other in _others(fleet, name, "uses", node.uses):
            kind = catalogue.kinds[fleet.nodes[other].kind]
            if not wanted:
                raise refusal(path, f"nodes of kind {node.kind} use no others; remove it.")
            if not wanted & {kind.name, *kind.file.roles}:
                raise refusal(path, f"{other} is of kind {kind.name}; name one with {' or '.join(sorted(wanted))}.")


def _others(fleet: Fleet, name: str, key: str, named: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """The other nodes that node `name` names under `key`, each with its path; refused where it is no other node."""
    for index, other in enumerate(named):
        path = f"nodes.{name}.{key}[{index}]"
        if other == name:
            what = "peer" if key == "peers" else "server"
            raise refusal(path, f"{name} cannot be its own {what}; remove it.")
        if other not in fleet.nodes:
            raise refusal(path, f"{shown(other)} is not in nodes; {near(other, fleet.nodes)}")
        if other in named[:index]:
            raise refusal(path, f"{other} is there twice; keep one of them.")
        yield path, other


def _signers(fleet: Fleet, catalogue: Catalogue) -> None:
    owners: dict[str, str] = {}
    for name, node in fleet.nodes.items():
        path = f"nodes.{name}.signing_keys"
        signer = catalogue.kinds[node.kind].signer
        if not signer:
            if node.signing_keys:
                raise refusal(path, f"nodes of kind {node.kind} do not sign; remove it.")
            continue
        if not node.signing_keys:
            raise refusal(path, f"nodes of kind {node.kind} sign; name the public ids of their keys.")
        form = signer.key_form
        for index, key in enumerate(node.signing_keys):
            if form and not re.fullmatch(form.pattern, key):
                raise refusal(f"{path}[{index}]", f"{shown(key)} is not {form.words}; copy the whole key.")
            written = spelling(key)
            if written in owners:
                raise refusal(
                    f"{path}[{index}]", f"{shown(key)} is a key of {owners[written]} too; one key has one signer."
                )
            owners[written] = name
