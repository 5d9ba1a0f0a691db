"""The address that a node announces, as Bitcoin Core reads it."""

import ipaddress
import re
from collections.abc import Callable

_FORMS = (
    re.compile(r"(?P<address>[0-9.]+)(:(?P<port>[0-9]{1,5}))?"),
    re.compile(r"\[(?P<address>[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*)\](:(?P<port>[0-9]{1,5}))?"),
    re.compile(r"(?P<address>[0-9A-Fa-f:.]+)(?P<port>)"),
)


def bitcoin_address(text: str) -> bool:
    """Whether this is an IP address, with or without a port; an IPv6 address before a port stands in brackets.

    >>> [bitcoin_address(text) for text in ("203.0.113.7:8333", "[2001:db8::7]:8333", "node.example", "203.0.113.7:0")]
    [True, True, False, False]
    """
    return any(_valid(found["address"], found["port"] or "1") for form in _FORMS if (found := form.fullmatch(text)))


def _valid(address: str, port: str) -> bool:
    try:
        ipaddress.ip_address(address)
    except ValueError:
        return False
    return 1 <= int(port) <= 65535


class FilterModule:
    """What Ansible looks for."""

    def filters(self) -> dict[str, Callable[..., object]]:
        """The filters by name."""
        return {"bitcoin_address": bitcoin_address}
