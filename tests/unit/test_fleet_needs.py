"""What a kind needs is not judged where it cannot be read, nor asked of what stands beside it."""

from typing import Any

import pytest

from stacks.catalogue import load_catalogue
from stacks.fleet import load_fleet
from stacks.preview.checkout import without_secrets
from tests.unit.bad_stack_files.cases import FakeMachine, good_of_real_kinds, put

RECIPIENT = "nodes.validator-1.vars.ethereum_validator_fee_recipient"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (RECIPIENT, {"secure": "v1:abc"}),
        (RECIPIENT, without_secrets({"secure": "v1:abc"})),
        (RECIPIENT, "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed"),
        ("nodes.validator-1.signing_keys", ["0X" + "8A" + "0" * 94]),
        # An execution client and a beacon node on one server, which uses no other.
        ("nodes.ethereum-1.uses", []),
    ],
)
def test_a_good_fleet(path: str, value: Any) -> None:
    data = good_of_real_kinds()
    put(data, path, value)
    assert load_fleet(data, load_catalogue(), FakeMachine()).nodes["validator-1"].uses == ("ethereum-1",)
