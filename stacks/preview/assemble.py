"""From Pulumi's steps, the fleets and what was seen inside hosts to a preview: pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from stacks import variables
from stacks.catalogue import Catalogue
from stacks.catalogue_networks import Downtime
from stacks.errors import StakeyardError
from stacks.fleet_models import Fleet
from stacks.preview import risk
from stacks.preview.model import Change, Inside, Node
from stacks.preview.rows import About
from stacks.preview.steps import MASKED, Step, change, compare, top
from stacks.urns import CONVERGENCE, NODE, name_of, type_of


@dataclass(frozen=True)
class Known:
    """What is known of a node that changes."""

    kind: str
    about: About
    downtime: Downtime | None


WHERE = frozenset({"host", "host_key", "server_id"})
"""What of a convergence's inputs says which server it is on, and nothing of what is to be there."""


def converged(steps: Iterable[Step]) -> dict[str, Step]:
    """The nodes whose software would change, by name; of a new server only those where more than the server differs."""
    return {step.node: step for step in steps if step.node and step.type == CONVERGENCE and _differs(step)}


def _differs(step: Step) -> bool:
    if step.operation != "replace":
        return step.operation == "update"
    # A replacement that follows another one has no paths; where variables are masked, nobody knows.
    paths = step.paths or [path for path, _before, _after in compare(step.old_inputs, step.inputs)]
    return bool({top(path) for path in paths} - WHERE) or step.inputs.get("variables") == MASKED


def of_interest(insides: Mapping[str, Inside], converged: Mapping[str, Step]) -> dict[str, Inside]:
    """Without the new servers on which nothing but the server turned out to be another."""
    return {name: found for name, found in insides.items() if found.tasks or converged[name].operation != "replace"}


def new_nodes(digest: Mapping[str, Any]) -> frozenset[str]:
    """The nodes of which there is nothing yet: Pulumi makes even what holds a node's resources together."""
    told = [(each["op"], name_of(each["urn"])) for each in digest.get("steps") or () if type_of(each["urn"]) == NODE]
    return frozenset(name for op, name in told if op == "create") - {name for op, name in told if op != "create"}


def unmasked(
    steps: Iterable[Step], fleet: Fleet, catalogue: Catalogue, base: Fleet | None, kinds: Catalogue | None
) -> tuple[Step, ...]:
    """The steps with what hosts let through where Pulumi masks all variables, as one of them is secret.

    It is told from the stack files; `kinds` are the base's. Nothing of it is secret.
    """

    def one(step: Step) -> Step:
        name = step.node or ""
        masked = step.type == CONVERGENCE and MASKED in (step.inputs.get("variables"), step.old_inputs.get("variables"))
        if not masked or base is None or kinds is None or name not in fleet.nodes or name not in base.nodes:
            return step
        try:
            after, before = _open(name, fleet, catalogue), _open(name, base, kinds)
        except StakeyardError:
            return step
        return replace(step, passages=(before, after))

    return tuple(map(one, steps))


def _open(name: str, fleet: Fleet, catalogue: Catalogue) -> Mapping[str, Any]:
    return {"variables": variables.variables(name, fleet.nodes[name], fleet, catalogue)}


def nodes(
    steps: Sequence[Step],
    fleet: Fleet,
    base: Fleet | None,
    catalogue: Catalogue,
    insides: Mapping[str, Inside],
    *,
    new: frozenset[str] = frozenset(),
) -> tuple[tuple[Node, ...], tuple[Change, ...]]:
    """What changes of each node, and of what nodes share; of those in `new` there is nothing yet."""
    by_node: dict[str, list[Step]] = {}
    shared: list[Change] = []
    for step in steps:
        if step.node is None:
            shared.append(change(step))
        else:
            by_node.setdefault(step.node, []).append(step)
    made = []
    for name in sorted({*by_node, *insides}):
        own = by_node.get(name, [])
        found = known(name, own, fleet, base, catalogue)
        node = Node(
            name=name,
            kind=found.kind,
            signs=found.about.signs,
            changes=tuple(map(change, own)),
            inside=insides.get(name),
        )
        made.append(risk.assessed(node, replace(found.about, new=name in new), found.downtime))
    return tuple(made), tuple(shared)


def known(name: str, steps: Iterable[Step], fleet: Fleet, base: Fleet | None, catalogue: Catalogue) -> Known:
    """What the stack file says of the node; of one that goes, what it said, or what its software had been told."""
    node = fleet.nodes.get(name) or (base.nodes.get(name) if base else None)
    software = next((step for step in steps if step.type == CONVERGENCE), None)
    told = {**software.old_inputs, **software.inputs} if software else {}
    kind = node.kind if node else str(told.get("kind") or "unknown")
    rule = catalogue.kinds[kind].signer if kind in catalogue.kinds else None
    signs = rule is not None or bool(told.get("signer"))
    downtime = None
    if node and kind in catalogue.kinds:
        try:
            downtime = catalogue.resolve(kind, node.vars).downtime
        except StakeyardError:
            downtime = None  # a base whose network this catalogue does not know any more
    return Known(kind, About(signs, f"{name}-{rule.volume}" if rule else ""), downtime)
