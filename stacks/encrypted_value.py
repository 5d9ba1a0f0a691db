"""An encrypted value of a stack file: `secure: ...`, as Pulumi writes it."""

import re
from collections.abc import Iterator

from stacks.fleet_text import key_path

PLACEHOLDER = "stakeyard-secret-"
"""What stands for one in a preview begins with this; more follows, which differs from secret to secret."""
_PLACEHOLDER = re.compile(re.escape(PLACEHOLDER) + r"[0-9a-f]{16}")


def is_encrypted(value: object) -> bool:
    """Whether Pulumi decrypts this."""
    return isinstance(value, dict) and set(value) == {"secure"} and isinstance(value["secure"], str)


def is_hidden(value: object) -> bool:
    """Whether this is encrypted, or stands for that in a preview."""
    return is_encrypted(value) or (isinstance(value, str) and _PLACEHOLDER.fullmatch(value) is not None)


def encrypted_paths(value: object, place: tuple[object, ...] = ()) -> Iterator[str]:
    """The paths of all encrypted values in a piece of a stack file."""
    if is_encrypted(value):
        yield key_path(place)
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from encrypted_paths(inner, (*place, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from encrypted_paths(inner, (*place, index))
