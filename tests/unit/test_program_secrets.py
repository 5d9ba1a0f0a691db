"""What a role says is a secret is never registered in clear: not at its node, nor where nodes are checked together."""

import json
from pathlib import Path
from typing import Any

import pulumi
import pytest
from pulumi.runtime.rpc import _special_secret_sig, _special_sig_key

from tests.unit.bad_stack_files.cases import good_of_real_kinds
from tests.unit.program_mocks import Program, cache_with_image, operator_files, run

WORD = "hunter2"


@pytest.fixture
def fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A fleet whose validator has a keystore in its variables, as Pulumi hands it over, with this machine's files."""
    monkeypatch.setenv("STAKEYARD_CACHE", str(tmp_path / "cache"))
    cache_with_image(tmp_path / "cache")
    found = good_of_real_kinds()
    found["operators"] |= operator_files(tmp_path)
    found["nodes"]["validator-1"]["vars"]["ethereum_validator_keystores"] = [{"keystore": WORD, "password": WORD}]
    return found


def assert_secret(program: Program) -> None:
    """The secret is registered as one, at the node and at the checks, and nowhere else."""
    (checked,) = program.one("FleetChecks", "ethereum_validator").inputs["nodes"]
    own = program.one("Convergence", "validator-1").inputs
    for variables in (own["variables"], checked["variables"]):
        assert WORD in json.dumps(variables)
        assert variables[_special_sig_key] == _special_secret_sig
        variables.clear()
    assert [resource.name for resource in program.resources if WORD in json.dumps(resource.inputs)] == []


def test_in_clear_it_is_refused_where_nothing_was_encrypted(fleet: dict[str, Any]) -> None:
    key = r"^nodes\.validator-1\.vars\.ethereum_validator_keystores\[0\]\.keystore"
    with pytest.raises(pulumi.RunError, match=f"{key}: is a secret in clear; encrypt it"):
        run(fleet)


def test_decrypted_by_pulumi_it_is_accepted_and_registered_as_a_secret(fleet: dict[str, Any]) -> None:
    assert_secret(run(fleet, secret=True))


def test_it_is_registered_as_one_whatever_pulumi_says(fleet: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    # As if the refusal had a hole.
    monkeypatch.setattr("stacks.fleet.check_secrets", lambda *_: None)
    program = run(fleet)
    assert_secret(program)
    assert program.one("Convergence", "validator-1").inputs["secret_variables"] == ["ethereum_validator_keystores"]
    other = program.one("Convergence", "ethereum-1").inputs
    assert _special_sig_key not in other["variables"]
    assert other["secret_variables"] == []
