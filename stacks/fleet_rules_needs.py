"""What a node of a kind cannot do without (`needs` in its node.yml), and that nodes which talk are on one network."""

from collections.abc import Iterator

from stacks import role_library
from stacks.catalogue import Catalogue, Kind
from stacks.catalogue_models import NodeFile
from stacks.encrypted_value import is_hidden
from stacks.fleet_models import Fleet, Node
from stacks.fleet_text import refusal


def check_needs(fleet: Fleet, catalogue: Catalogue) -> None:
    """Apply both to every node."""
    for name, node in fleet.nodes.items():
        kind = catalogue.kinds[node.kind]
        for part in kind.parts:
            _part(f"nodes.{name}", node, kind, part)
        _networks(name, fleet, catalogue)


def _part(path: str, node: Node, kind: Kind, part: NodeFile) -> None:
    needs = part.needs
    beside = {other.kind for other in kind.parts} & set(part.uses)
    if needs.uses and not node.uses and not beside:
        raise refusal(f"{path}.uses", f"nodes of kind {node.kind} need {needs.uses}; name one.")
    for variable, words in needs.vars.items():
        value = node.vars.get(variable, kind.options[variable].default)
        where = f"{path}.vars.{variable}"
        if value in ("", None, [], {}):
            raise refusal(where, f"nodes of kind {node.kind} need it; give {words}.")
        # What is encrypted, or stands for that in a preview, is judged by the role when it knows the value.
        if needs.checked_by and not is_hidden(value):
            problem = role_library.load(part.kind, needs.checked_by).problem(variable, value)
            if problem:
                raise refusal(where, problem)


def _networks(name: str, fleet: Fleet, catalogue: Catalogue) -> None:
    here = _network(fleet.nodes[name], catalogue)
    for key, other in _named(fleet.nodes[name]):
        there = _network(fleet.nodes[other], catalogue)
        if here and there and here[0] == there[0] and here[1] != there[1]:
            raise refusal(
                f"nodes.{name}.{key}",
                f"{other} is on the network {there[1]} and {name} on {here[1]} ({here[0]}); name a node of the same "
                "network, or correct the variable.",
            )


def _named(node: Node) -> Iterator[tuple[str, str]]:
    for key, others in (("peers", node.peers), ("uses", node.uses)):
        yield from ((f"{key}[{index}]", other) for index, other in enumerate(others))


def _network(node: Node, catalogue: Catalogue) -> tuple[str, str] | None:
    """The variable that chooses a node's network, and the network; kinds with another variable have other networks."""
    kind = catalogue.kinds[node.kind]
    network = kind.network(node.vars)
    return (kind.network_variable, network) if kind.network_variable and network else None
