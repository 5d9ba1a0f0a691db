"""What a role says is a secret (`no_log` in its argument_specs.yml) stands in a stack file encrypted, or not at all."""

from collections.abc import Iterator

from stacks.catalogue import Catalogue, Kind
from stacks.catalogue_roles import Option
from stacks.encrypted_value import is_hidden
from stacks.fleet_models import Fleet, Node
from stacks.fleet_text import key_path, refusal


def check_secrets(fleet: Fleet, catalogue: Catalogue) -> None:
    """Refuse the first secret in clear. Not for values that Pulumi has decrypted, which look the same."""
    for name, node in fleet.nodes.items():
        for place in _places(node, catalogue.kinds[node.kind]):
            raise refusal(
                key_path(("nodes", name, "vars", *place)),
                "is a secret in clear; encrypt it with `stakeyard pulumi config set --secret --path` as "
                "docs/secrets.md says.",
            )


def secret_variables(node: Node, kind: Kind) -> tuple[str, ...]:
    """Names of the variables of a node that hold a secret which can be read."""
    return tuple(dict.fromkeys(str(place[0]) for place in _places(node, kind)))


def _places(node: Node, kind: Kind) -> Iterator[tuple[object, ...]]:
    options = kind.options
    for key, value in node.vars.items():
        yield from in_clear(options.get(key), value, (key,))


def in_clear(
    option: Option | None, value: object, place: tuple[object, ...] = (), *, secret: bool = False
) -> Iterator[tuple[object, ...]]:
    """The places in `value` of secrets that can be read; `secret` is what holds where `option` does not say it.

    What is empty, and a flag, tells nobody anything.
    """
    if option and option.no_log is not None:
        secret = option.no_log
    if is_hidden(value):
        return
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from in_clear(option.options.get(key) if option else None, inner, (*place, key), secret=secret)
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            yield from in_clear(option, inner, (*place, index), secret=secret)
    elif secret and value not in ("", None) and not isinstance(value, bool):
        yield place
