"""What the role ethereum_validator writes into the unit of its client, as Ansible itself evaluates it.

A converged validator that finds another unit restarts, so who moves a word between the role's files sees here that the
unit is the same.
"""

import json
from collections.abc import Mapping
from typing import Any

import pytest
import yaml

from stacks.paths import REPOSITORY
from tests.unit import role_plays

RECIPIENT = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
NODE: dict[str, Any] = {
    "ethereum_validator_fee_recipient": RECIPIENT,
    "stakeyard_uses": [{"name": name, "address": f"10.77.0.2{name}"} for name in (1, 2)],
    "stakeyard_signing_keys": ["0x" + "8f" * 48],
    "stakeyard_volumes": {"keys": {"device_id": "volume-1"}},
}
WRITTEN = (
    "service_exec_start", "service_exec_conditions", "service_credentials", "service_writable_paths",
    "service_requires_mounts", "service_addresses",
)  # fmt: skip
PROGRAM = "/opt/stakeyard/prysm-validator/current/bin/validator"
ARGUMENTS = (
    "--accept-terms-of-use --datadir=/var/lib/ethereum-validator/client "
    "--wallet-dir=/var/lib/ethereum-validator/wallet --wallet-password-file=%d/wallet --enable-beacon-rest-api "
    "--beacon-rest-api-provider=http://10.77.0.21:3500,http://10.77.0.22:3500 --enable-doppelganger "
    f"--suggested-fee-recipient={RECIPIENT} --monitoring-host=127.0.0.1 --monitoring-port=8081 --log-format=journald"
)
READY = (
    '+/bin/sh -c "test -s /var/lib/ethereum-validator/client/validator.db && '
    "test ! -e /var/lib/ethereum-validator/listen.json || { echo 'signer-gate: refused: the keys have no history yet, "
    "or listen for another signer: let `pulumi up` finish.' >&2; exit 1; }\""
)
GATE = (
    "+/usr/local/lib/stakeyard/signer-gate --mount /var/lib/ethereum-validator --volume volume-1 "
    "--keys /var/lib/ethereum-validator/keys --history /var/lib/ethereum-validator/client/validator.db "
    "--used /var/lib/ethereum-validator/wallet/made-from.json "
    "--known /var/lib/ethereum-validator/client/known-keys.json"
)
SAME: Mapping[str, object] = {
    "service_exec_conditions": [READY, GATE],
    "service_credentials": [{"name": "wallet", "path": "/var/lib/ethereum-validator/wallet.password"}],
    "service_writable_paths": ["/var/lib/ethereum-validator/client"],
    "service_requires_mounts": ["/var/lib/ethereum-validator"],
    "service_addresses": ["localhost", "10.77.0.21", "10.77.0.22"],
}
CASES: Mapping[str, tuple[dict[str, Any], str]] = {
    "mainnet": ({}, f"{PROGRAM} --mainnet {ARGUMENTS}"),
    "hoodi": ({"ethereum_network": "hoodi"}, f"{PROGRAM} --hoodi {ARGUMENTS}"),
    "devnet": (
        {"ethereum_network": "devnet", "ethereum_devnet": "/devnet"},
        f"{PROGRAM} --chain-config-file=/etc/ethereum-validator/config.yml {ARGUMENTS}",
    ),
    "graffiti": (
        {"ethereum_validator_graffiti": "two words"},
        f'{PROGRAM} --mainnet {ARGUMENTS} "--graffiti=two words"',
    ),
}


def given_to_the_service() -> Mapping[str, Any]:
    """What tasks/run.yml gives to the role `service`, as it is written there."""
    tasks = yaml.safe_load((REPOSITORY / "roles/ethereum_validator/tasks/run.yml").read_text())
    (found,) = (task["vars"] for task in tasks if "ansible.builtin.import_role" in task)
    return {name: found[name] for name in WRITTEN}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Mapping[str, Any]]:
    """What the unit is made of in each case; one Ansible run for all of them."""
    role = {"name": "ethereum_validator", "tasks_from": "preflight", "public": True}
    plays = []
    for case, (settings, _) in CASES.items():
        said = {"msg": f"UNIT {case}: {{{{ unit | to_json }}}}"}
        tasks = [
            {"ansible.builtin.include_role": role},
            {"ansible.builtin.debug": said, "vars": {"unit": given_to_the_service()}},
        ]
        play = {"hosts": "localhost", "gather_facts": False, "vars": {**NODE, **settings}, "tasks": tasks}
        plays.append({"name": case, **play})
    told = role_plays.told(role_plays.run(tmp_path_factory.mktemp("unit"), plays), "UNIT")
    return {case: json.loads(text) for case, text in told.items()}


@pytest.mark.parametrize("case", CASES)
def test_the_unit_is_the_one_that_converged_validators_have(
    written: Mapping[str, Mapping[str, Any]], case: str
) -> None:
    assert written[case] == {**SAME, "service_exec_start": CASES[case][1]}
