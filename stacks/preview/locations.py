"""On which line of a stack file a key stands."""

import re
from collections.abc import Mapping

import yaml

_PIECE = re.compile(r"\[(\d+)\]|([^.\[\]]+)")


def lines(text: str) -> dict[tuple[str, ...], int]:
    """Line numbers (from 1) of every key below `stakeyard:fleet`, by its path; nothing for a file that is no YAML."""
    try:
        root = yaml.compose(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.YAMLError:
        return {}
    found: dict[tuple[str, ...], int] = {}
    for key in ("config", "stakeyard:fleet"):
        root = next((value for name, value in _items(root) if name.value == key), None)
    _walk(root, (), found)
    return found


def _items(node: yaml.Node | None) -> list[tuple[yaml.Node, yaml.Node]]:
    return list(node.value) if isinstance(node, yaml.MappingNode) else []


def _walk(node: yaml.Node | None, place: tuple[str, ...], found: dict[tuple[str, ...], int]) -> None:
    for key, value in _items(node):
        here = (*place, str(key.value))
        found[here] = key.start_mark.line + 1
        _walk(value, here, found)
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            here = (*place, str(index))
            found[here] = item.start_mark.line + 1
            _walk(item, here, found)


def line_of(key: str, known: Mapping[tuple[str, ...], int]) -> int | None:
    """The line of a key path such as `nodes.bitcoin-1.peers[0]`, or of the nearest key above it."""
    place = tuple(index or word for index, word in _PIECE.findall(key))
    while place:
        if place in known:
            return known[place]
        place = place[:-1]
    return None
