"""Which addresses a node may announce: what Bitcoin Core reads as an IP address, and nothing that is more than that."""

import pytest

from stacks.paths import REPOSITORY
from tests.unit.test_roles_host import load

bitcoin_address = load(REPOSITORY / "roles/bitcoin/filter_plugins/bitcoin_address.py").bitcoin_address


@pytest.mark.parametrize(
    "text",
    [
        "203.0.113.7",
        "203.0.113.7:8333",
        "203.0.113.7:65535",
        "2001:db8::7",
        "[2001:db8::7]",
        "[2001:db8::7]:8333",
        "::ffff:203.0.113.7",
    ],
)
def test_an_address_with_or_without_a_port_is_taken(text: str) -> None:
    assert bitcoin_address(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "node.example",
        "expyuzz4wqqyqhjn.onion:8333",
        "203.0.113",
        "203.0.113.7/32",
        "203.0.113.7 ",
        "203.0.113.7\n",
        "203.0.113.7\nzmqpubrawtx=tcp://0.0.0.0:28332",
        "203.0.113.7:8333\n",
        "203.0.113.7:",
        "203.0.113.7:0",
        "203.0.113.7:65536",
        "203.0.113.7:8333:8333",
        "203.0.113.7:\uff18",
        "[203.0.113.7]:8333",
        "[2001:db8::7]8333",
        "[2001:db8::7]:",
        "[2001:db8::7",
        "fe80::1%eth0",
        "fe80::1%a\nb",
    ],
)
def test_everything_else_is_refused(text: str) -> None:
    assert not bitcoin_address(text)
