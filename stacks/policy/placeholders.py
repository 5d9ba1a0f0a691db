"""Values that an example must have and a real stack cannot: addresses of documentation, keys that nobody has."""

import re
from collections.abc import Iterator
from ipaddress import IPv4Network

from stacks.encryption import ENCRYPTED, KEY_ID
from stacks.policy.model import Breach, Context

DOCUMENTATION = tuple(map(IPv4Network, ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24")))
"""Networks that are nobody's (RFC 5737)."""
_KEY = re.compile(r"(?!0{8}-0{4}-0{4}-0{4}-0{12})[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def on_fleet(context: Context) -> Iterator[Breach]:
    """Judge a stack of Open Telekom Cloud, where both are known."""
    if context.fleet.platform != "otc":
        return
    for index, network in enumerate(context.fleet.operators.ranges):
        if any(network.subnet_of(example) for example in DOCUMENTATION):
            sentence = f"{network} is for documentation only, so nobody gets in; write the operators' own addresses."
            yield Breach(f"operators.ranges[{index}]", sentence)
    for name, node in context.fleet.nodes.items():
        for key, volume in node.volumes.items():
            if volume.metadata.get(ENCRYPTED) == "1" and not _KEY.fullmatch(str(volume.metadata.get(KEY_ID, ""))):
                sentence = "is no id of a KMS key, so the volume cannot be made; write that of your own key."
                yield Breach(f"nodes.{name}.volumes.{key}.metadata.{KEY_ID}", sentence, name)
