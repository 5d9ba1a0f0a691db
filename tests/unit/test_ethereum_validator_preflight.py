"""What the role ethereum_validator refuses before it touches a host, as Ansible itself evaluates it."""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.unit import role_plays

RECIPIENT = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
GOOD: dict[str, Any] = {
    "ethereum_validator_fee_recipient": RECIPIENT,
    "stakeyard_uses": [{"name": "beacon-1", "address": "10.77.0.21"}],
    "stakeyard_signing_keys": ["0x" + "8f" * 48],
}
REFUSED: Mapping[str, tuple[dict[str, Any], str]] = {
    "no fee recipient": ({"ethereum_validator_fee_recipient": ""}, "ethereum_validator_fee_recipient: it is missing"),
    "nobody's address": ({"ethereum_validator_fee_recipient": "0x" + "0" * 40}, "is nobody's address"),
    "a wrong digit": ({"ethereum_validator_fee_recipient": RECIPIENT.replace("5aA", "6aA")}, "has a wrong checksum"),
    "a name": ({"ethereum_validator_fee_recipient": "stakeyard.eth"}, "stakeyard.eth is no address"),
    "no beacon node": ({"stakeyard_uses": []}, "a validator needs a beacon node: name at least one under `uses`."),
    "no keys": ({"stakeyard_signing_keys": []}, "name their public keys under `signing_keys`."),
    "a devnet without files": ({"ethereum_network": "devnet"}, "ethereum_devnet names the files of a private network"),
    "files without a devnet": ({"ethereum_devnet": "/devnet"}, "give it with ethereum_network devnet, and only then."),
    "a long graffiti": ({"ethereum_validator_graffiti": "x" * 33}, "must be up to 32 plain characters"),
    "a graffiti that breaks out": ({"ethereum_validator_graffiti": 'a" --x="'}, "without quotes"),
    "a graffiti of two lines": ({"ethereum_validator_graffiti": "a\nExecStartPre=/x"}, "ethereum_validator_graffiti"),
    "too short a silence": ({"ethereum_validator_listen_epochs": 2}, "must be 3 or more, or 0"),
    "a negative silence": ({"ethereum_validator_listen_epochs": -1}, "must be 3 or more, or 0"),
    "an old release": ({"ethereum_validator_version": "6.0.0"}, "Release 6.0.0 is too old for the forks of mainnet"),
}
ALLOWED: Mapping[str, dict[str, Any]] = {
    "mainnet": {},
    "lower-case address": {"ethereum_validator_fee_recipient": RECIPIENT.lower()},
    "a devnet": {"ethereum_network": "devnet", "ethereum_devnet": "/devnet"},
    "a graffiti": {"ethereum_validator_graffiti": "made by stakeyard (32 signs, max)"[:32]},
    "no silence": {"ethereum_validator_listen_epochs": 0},
    "hoodi": {"ethereum_network": "hoodi"},
}


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """What the preflight says in each case; one Ansible run for all of them."""
    folder = tmp_path_factory.mktemp("preflight")
    plays = []
    for name, settings in {**{case: changes for case, (changes, _) in REFUSED.items()}, **ALLOWED}.items():
        said = {"ansible.builtin.debug": {"msg": f"CASE {name}: {{{{ ansible_failed_result.msg | default('') }}}}"}}
        role = {"ansible.builtin.include_role": {"name": "ethereum_validator", "tasks_from": "preflight"}}
        plays.append(
            {
                "name": name,
                "hosts": "localhost",
                "gather_facts": False,
                "vars": {**GOOD, **settings},
                "tasks": [{"name": "Ask", "block": [role], "rescue": [said]}],
            }
        )
    return role_plays.told(role_plays.run(folder, plays), "CASE")


@pytest.mark.parametrize("case", REFUSED)
def test_it_is_refused(answers: Mapping[str, str], case: str) -> None:
    assert REFUSED[case][1] in answers.get(case, "not refused")


@pytest.mark.parametrize("case", ALLOWED)
def test_it_is_allowed(answers: Mapping[str, str], case: str) -> None:
    assert answers, "no case was refused at all: the preflight did not run"
    assert case not in answers
